"""The server of a folder, tokens, and what importing costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import Served, experiment

import cairn


def test_a_server_is_started_once_and_found_again(folder: Path) -> None:
    exp = cairn.submit(experiment("mine", "echo loss=$0")).wait(30, progress=False)
    known = json.loads((folder / ".cairn" / "server.json").read_text())
    # Another program in the same folder speaks with the same server.
    program = "import cairn; print(cairn.attach('mine')._client.server.url)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == known["url"] == exp._client.server.url


def test_many_at_once_start_one_server(folder: Path) -> None:
    urls: list[str] = []

    def ask() -> None:
        program = "import cairn; cairn.experiments(); from cairn._server import connect; print(connect().server.url)"
        said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        urls.append(said.stdout.strip())

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 3 and len(set(urls)) == 1


def test_a_killed_server_is_started_again_at_its_address(folder: Path) -> None:
    exp = cairn.submit(experiment("mine", "echo loss=$0")).wait(30, progress=False)
    before = json.loads((folder / ".cairn" / "server.json").read_text())
    os.kill(before["pid"], signal.SIGKILL)
    assert exp.best() is not None
    after = json.loads((folder / ".cairn" / "server.json").read_text())
    assert after["pid"] != before["pid"] and after["url"] == before["url"]
    assert cairn.stop_server() and not cairn.stop_server()


def test_without_a_program_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cairn import _server

    monkeypatch.delenv("CAIRN_BIN", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(_server, "__file__", str(folder / "a" / "b" / "c" / "d" / "_server.py"))
    with pytest.raises(cairn.ServerNotStartedError, match="cargo build"):
        cairn.experiments()
    monkeypatch.setenv("CAIRN_BIN", str(folder / "nothing"))
    with pytest.raises(cairn.ServerNotStartedError, match="CAIRN_BIN is"):
        cairn.experiments()


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from cairn import _http

    monkeypatch.setattr(_http.Client.__init__, "__defaults__", (0.2,))
    with pytest.raises(cairn.ServerUnreachableError, match=r"nobody answers at http://127\.0\.0\.1:9"):
        cairn.experiments(server="http://127.0.0.1:9")
    with pytest.raises(cairn.CairnError, match="no address"):
        cairn.experiments(server="nonsense")


def test_a_token_opens_http_and_grpc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    token.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAIRN_TOKEN_FILE", raising=False)
    served = Served(tmp_path, token)
    try:
        with pytest.raises(cairn.UnauthorizedError, match="token"):
            cairn.experiments(server=served.url)
        monkeypatch.setenv("CAIRN_TOKEN_FILE", str(token))
        assert cairn.experiments(server=served.url) == []
        study = cairn.Study({"x": cairn.search.float(0, 1)}, algorithm="random", server=served.url)
        assert 0 <= study.ask().params["x"] <= 1
        monkeypatch.setenv("CAIRN_TOKEN_FILE", str(tmp_path / "none"))
        with pytest.raises(cairn.CairnError, match="cannot be read"):
            cairn.experiments(server=served.url)
    finally:
        served.stop()


def test_progress_is_one_line_on_a_terminal(server: Served, tmp_path: Path) -> None:
    import pty

    script = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo loss=$0"
    cairn.submit(experiment("bar", script, maxTrialCount=2))
    main, end = pty.openpty()
    program = "import cairn; cairn.attach('bar').wait(30)"
    with subprocess.Popen([sys.executable, "-c", program], stderr=end) as process:
        os.close(end)
        shown = b""
        try:
            while piece := os.read(main, 65536):
                shown += piece
                if b"2 running" in shown:
                    (tmp_path / "go").touch()
        except OSError:
            pass  # the terminal is closed
    os.close(main)
    assert process.returncode == 0, shown.decode()
    lines = shown.decode().strip().split("\r")
    assert any("bar 0/2 | 2 running" in line for line in lines)
    assert "bar 2/2 | best loss" in lines[-1] and shown.decode().count("\n") == 1


def test_importing_brings_in_nothing_heavy() -> None:
    program = "import sys, cairn; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"pandas", "numpy", "grpc", "google.protobuf", "IPython"}
    assert not heavy & set(said.stdout.split())
