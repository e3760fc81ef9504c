"""Writes 100 rows and half of one, waits for the word to go on, and writes 100 more."""

import json
import os
import sys
import time

kind, path, word = sys.argv[1:]


def wait() -> None:
    while not os.path.exists(word):
        time.sleep(0.01)


def lines(format) -> None:
    with open(path, "w") if path else sys.stdout as file:
        for step in range(200):
            line = format(step)
            if step == 100:
                file.write(line[: len(line) // 2])
                file.flush()
                wait()
                line = line[len(line) // 2 :]
            file.write(line + ("\n" if step < 199 else ""))
            file.flush()


def events() -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(path)
    for step in range(200):
        if step == 100:
            writer.flush()
            wait()
        value = Summary.Value(tag="loss", simple_value=step)
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    writer.close()


if kind == "text":
    lines(lambda step: f"step={step} loss={step}.0")
elif kind == "json":
    lines(lambda step: json.dumps({"step": step, "loss": str(float(step))}))
else:
    events()
