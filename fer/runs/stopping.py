"""How a job learns that it shall end."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer.runs import schedule
from fer.runs.files import after_epochs


class Stopper:
    """Whether the job shall end: asked by a signal or by the run's `stop` file.

    A second Ctrl-C in the foreground raises `KeyboardInterrupt`: somebody really means it.
    """

    def __init__(self, directory: Path, foreground: bool):
        self.directory = directory
        self.foreground = foreground
        self.signal: str = ""
        self._file_seen = False
        self._looked = 0.0

    def __call__(self) -> bool:
        if not self.signal and not self._file_seen and time.monotonic() - self._looked > 0.25:
            self._looked = time.monotonic()
            self._file_seen = schedule.stop_requested(self.directory)
        return bool(self.signal) or self._file_seen

    def reason(self) -> str:
        """Who ended the job and when, as a sentence."""
        when = after_epochs(self.directory)
        if schedule.stop_requested(self.directory):
            return f"Stopped by you{when}."
        if self.signal == "SIGINT":
            return f"Stopped with Ctrl-C{when}."
        if self.signal:
            return f"Its process was asked to end ({self.signal}){when}."
        return f"Stopped{when}."

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the signals that ask for an end while the job runs (in the main thread only)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = ["SIGTERM", "SIGHUP", "SIGBREAK"] + (["SIGINT"] if self.foreground else [])
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, self._asked) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, frame: Any) -> None:
        name = signal.Signals(number).name
        if name == "SIGINT" and self.signal == name:
            raise KeyboardInterrupt
        self.signal = self.signal or name
