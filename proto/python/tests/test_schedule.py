"""From a notebook: a search that is run again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from test_promotion import experiment

import cairn


def test_a_schedule_is_listed_asked_for_a_run_and_suspended(server: Any) -> None:
    document = experiment("weekly", 0.9)
    document["spec"]["schedule"] = {"cron": "0 3 * * 0", "timeZone": "Europe/Berlin"}
    cairn.submit(document)
    (schedule,) = [item for item in cairn.schedules() if item.name == "weekly"]
    assert schedule.data["when"] == "0 3 * * 0 (Europe/Berlin)" and schedule.data["next"]
    schedule.suspend()
    assert schedule.data["suspended"] and schedule.data["next"] is None
    schedule.run_now()
    give_up = time.monotonic() + 30
    while "weekly-1" not in [item.name for item in cairn.experiments()]:
        assert time.monotonic() < give_up
        time.sleep(0.1)
    assert cairn.attach("weekly-1").wait(60, progress=False).best().params
    schedule.resume()
    assert repr(schedule) == "<schedule weekly: 0 3 * * 0 (Europe/Berlin), 1 runs>"
    with pytest.raises(cairn.ConflictError, match="is a schedule"):
        cairn.attach("weekly").stop()
