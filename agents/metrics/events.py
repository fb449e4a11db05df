"""TensorBoard's event file, written at once and record by record.

TensorBoard's own writer works in a thread, which prints a traceback and loses what it holds when the disk is full. This
one's records are there as a whole or not at all, and whoever adds one learns of a failure.
"""

from __future__ import annotations

import io
import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from agents.system.files import append_whole

#: The version from which on readers heed a purge step.
VERSION = "brain.Event:2"


class EventFile:
    """A new event file in a folder that may have others.

    Args:
        purge_step: TensorBoard drops what the older files have from this step on; None: nothing.

    Raises:
        OSError: as every method: the disk is full, for instance.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        # Files are read in the order of their names.
        seconds, rest = divmod(time.time_ns(), 10**9)
        place = f"{socket.gethostname()}.{os.getpid()}"
        self._path = folder / f"events.out.tfevents.{seconds:010d}.{rest:09d}.{place}"
        self._write(Event(wall_time=time.time(), file_version=VERSION))
        if purge_step is not None:
            log = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=purge_step, session_log=log))

    def add(self, summary: Summary, steps: int) -> None:
        """What belongs to this agent step."""
        self._write(Event(wall_time=time.time(), step=steps, summary=summary))

    def _write(self, event: Any) -> None:
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        append_whole(self._path, record.getvalue())
