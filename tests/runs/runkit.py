"""What the tests of the run machinery share: start runs, wait, find processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fer import runs


def engine_processes(cache: Path, module: str = "") -> list[psutil.Process]:
    """Living processes that work on this cache, all or those of one module of fer.runs."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.environ().get("FER_CACHE") != str(cache):
                continue
            if module in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def as_in_a_terminal() -> None:
    """For `preexec_fn`: signals that end a program in a terminal, even where the test runner ignores them.

    A runner started by `nohup` or in the background of a shell ignores SIGHUP or SIGINT, and its children
    would inherit that.
    """
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)


def until(condition: Callable[[], object], seconds: float = 20.0, what: str = "") -> float:
    """Wait until the condition holds; returns how long it took. Fails the test when it does not."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            pytest.fail(f"{what or condition} did not happen within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - started


def start(seconds: float = 0.05, epochs: int = 3, kind: str = "train", **config: object) -> runs.Run:
    """A submitted run."""
    run = runs.create_run({"epochs": epochs, "seconds": seconds, **config}, kind=kind)
    runs.submit(run)
    return run


def running(seconds: float = 0.05, epochs: int = 1000, **config: object) -> runs.Run:
    """A run that runs."""
    run = start(seconds, epochs, **config)
    until(lambda: run.status().state == "running", what="start of the run")
    return run


def events(path: Path) -> list[tuple[float, str, str, str, int]]:
    """(time, what, run, device, pid) of each line that the jobs wrote."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(float(time_), what, run, device, int(pid)) for time_, what, run, device, pid in lines]
