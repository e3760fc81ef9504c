"""How things are written: YAML, cards, progress."""

from __future__ import annotations

import pytest
from conftest import Served, experiment

import cairn
from cairn import _html, _progress, _svg

ODD = ["", " ", "yes", "012", "1e3", "null", "~", "a: b", "# no comment", "- x", "é ☃ 𝄞", "two\nlines\n", "tab\t", "'\"\\", "$x", "{a}", "[b]", "*c", "&d", "!e", "%f", "@g", "`h`", "end "]  # fmt: skip


def test_odd_texts_survive_the_way_through_yaml(server: Served) -> None:
    document = experiment("odd", "echo loss=1", maxTrialCount=1)
    process = document["spec"]["trialTemplate"]["trialSpec"]
    process["args"] += ODD
    process["env"] = [{"name": f"V{i}", "value": text} for i, text in enumerate(ODD)]
    exp = cairn.submit(document)
    assert exp.spec["trialTemplate"]["trialSpec"]["args"][5:] == ODD
    again = cairn.submit(exp.yaml)
    assert again.refresh()["metadata"]["uid"] == exp.refresh()["metadata"]["uid"]


def test_names_cannot_break_out_of_cards_and_drawings() -> None:
    bad = '<script>"&'
    for text in (_html.card(bad, [(bad, bad)], bad), _html.bar(1, 2, bad), _svg.document(bad, [_svg.text(0, 0, bad)])):
        assert "<script>" not in text and "&lt;script&gt;" in text


def test_without_a_terminal_a_line_is_written_now_and_then(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines(every: float) -> int:
        monkeypatch.setattr(_progress, "LINE", every)
        data = cairn.submit(experiment("lines", "echo loss=$0")).wait(30, progress=False).refresh()
        shown = _progress.start()
        for elapsed in range(5):
            shown.show(data, float(elapsed))
        shown.close(data, 5.0)
        return len(capsys.readouterr().err.splitlines())

    assert lines(0.0) == 6 and lines(60.0) == 1


def test_axes_have_a_few_round_marks() -> None:
    for low, high, log in [(0, 1, False), (-3.2, 17, False), (5, 5, False), (1e-5, 1e-1, True), (2, 9, True), (7, 7, True)]:
        scale = _svg.Scale(low, high, 0, 100, log)
        assert 2 <= len(scale.ticks()) <= 8, (low, high, log, scale.ticks())
        assert all(-1e-6 <= scale(tick) <= 100 + 1e-6 for tick in scale.ticks())
