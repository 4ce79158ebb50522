"""This machine: a detached process per run, a queue in SQLite, one slot per GPU or CPU."""

from fer.runs import lifecycle
from fer.runs.run import Run
from fer.runs.status import RunStatus


def submit(run: Run) -> RunStatus:
    return lifecycle.submit(run)


def status(run: Run) -> RunStatus:
    return run.status()


def stop(run: Run, wait: bool = True) -> RunStatus:
    return lifecycle.stop(run, wait)


def logs(run: Run, lines: int = 50) -> str:
    return run.log_tail(lines)
