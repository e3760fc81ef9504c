"""Writes scalars of a training and a test run with TensorBoard's own writer, one folder each."""

import sys

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto


def scalar(tag: str, value: float) -> Summary.Value:
    return Summary.Value(tag=tag, simple_value=value)


def tensor(tag: str, value: float) -> Summary.Value:
    """As TensorFlow 2 writes scalars."""
    return Summary.Value(tag=tag, tensor=make_tensor_proto(value, dtype="float32"))


def write(folder: str, values) -> None:
    writer = EventFileWriter(folder)
    for step, summary in enumerate(values):
        writer.add_event(Event(wall_time=1_700_000_000.25 + step, step=step, summary=Summary(value=summary)))
    writer.close()


folder = sys.argv[1]
write(folder + "/train", [[scalar("accuracy", 0.25 * step), scalar("loss", 1 - 0.25 * step)] for step in range(3)])
write(folder + "/test", [[tensor("accuracy_top1", 0.125 * step), scalar("other", 7)] for step in range(3)])
