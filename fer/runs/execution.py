"""Doing the work of a run in this process: locks, status, job, and an honest record of how it ended.

The background worker (`fer.runs.worker`) and `python -m fer train` (`run_here`) share this code.
"""

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from fer import storage
from fer.runs import failures, files, locks, processes, queue, schedule, status
from fer.runs.jobs import OWN_PROGRESS, Progress, load_job
from fer.runs.processes import Identity
from fer.runs.run import Run
from fer.runs.slots import Slot
from fer.runs.stopping import Stopper

RESERVE_BYTES = 256 * 1024


class ProgressWriter:
    """Writes `progress.json` at most once a second, for kinds that do not write their own."""

    def __init__(self, run: Run, show: Progress | None):
        self.path = None if run.kind in OWN_PROGRESS else run.directory / "progress.json"
        self.show = show
        self._written = 0.0

    def __call__(self, fraction: float, text: str) -> None:
        if self.show is not None:
            self.show(fraction, text)
        if self.path is not None and (time.monotonic() - self._written > 1.0 or fraction >= 1.0):
            self._written = time.monotonic()
            storage.write_json(self.path, {"fraction": float(fraction), "text": text, "time": time.time()})


def execute(
    run: Run,
    token: str,
    place: Slot,
    supervisor: Identity | None = None,
    show: Progress | None = None,
    lock_timeout: float = 15.0,
) -> bool:
    """Take over the claim `token` and do the work; False when the claim was no longer valid.

    `supervisor` is None in the foreground. However the job ends, the end is recorded before this returns.
    """
    held = _take_locks(run, place, lock_timeout)
    if held is None:
        return False
    stopper = Stopper(run.directory, foreground=supervisor is None)
    try:
        with stopper.listening():
            with queue.transaction() as connection:
                if not queue.accept(connection, run.id, token):
                    return False
                files.write_record(run.directory, _running(run, token, place, supervisor))
            reserve = run.directory / "reserve"
            _fill(reserve)
            outcome = _work(run, stopper, ProgressWriter(run, show))
            reserve.unlink(missing_ok=True)  # makes room for the record when the disk is full
            schedule.record_end(run.id, run.directory, token, outcome)
            return True
    finally:
        for lock in held:
            lock.release()


def _take_locks(run: Run, place: Slot, timeout: float) -> list[Any] | None:
    """The run's lock and its slot's; None when another process keeps one of them."""
    held: list[Any] = []
    for name in (status.run_lock(run.id), place.lock):
        lock = locks.hold(name, timeout)
        if lock is None:
            for other in held:
                other.release()
            return None
        held.append(lock)
    return held


def _running(run: Run, token: str, place: Slot, supervisor: Identity | None) -> dict[str, Any]:
    own = processes.identity()
    return files.read_record(run.directory) | {
        "state": "running",
        "reason": "",
        "remedy": "",
        "error": "",
        "settings": {},
        "started": time.time(),
        "token": token,
        "pid": own.pid,
        "process": own.to_json(),
        "supervisor": supervisor.to_json() if supervisor else None,
        "detached": supervisor is not None,
        "host": processes.host(),
        "slot": place.name,
        "device": place.device,
    }


def _work(run: Run, stopper: Stopper, progress: Progress) -> dict[str, Any]:
    """Run the job; how it ended, as changes to the record."""
    try:
        job = load_job(run.kind)
        result = job(_seen_from_inside(run.config), run.directory, progress, stopper) or {}
    except KeyboardInterrupt:
        reason = "Ended with Ctrl-C before the current epoch was complete."
        return {"state": "stopped", "reason": reason, "remedy": status.RESUME}
    except BaseException as error:  # whatever a job raises is how the run ended, SystemExit included
        _log(run, traceback.format_exc(), stopper.foreground)
        return failures.explain(error, run.config)
    metrics = result.get("metrics") or {}
    if not result.get("stopped"):
        return {"state": "finished", "metrics": metrics}
    reason = result.get("reason") or stopper.reason()
    return {"state": "stopped", "reason": reason, "remedy": status.RESUME, "metrics": metrics}


def _seen_from_inside(config: dict[str, Any]) -> dict[str, Any]:
    """The config with `gpu:2` as `gpu:0`: this process sees no other GPU than the one of its slot."""
    if str(config.get("device", "")).startswith("gpu"):
        return config | {"device": "gpu:0"}
    return config


def _log(run: Run, text: str, foreground: bool) -> None:
    """Into train.log, which is standard error of a background worker already."""
    try:
        if foreground:
            with open(run.directory / "train.log", "a", encoding="utf-8") as file:
                file.write(text)
        else:
            sys.stderr.write(text)
    except OSError:
        pass  # a full disk; the record still says what happened


def _fill(reserve: Path) -> None:
    """Set disk space aside, so that a full disk can still be told from a killed trainer."""
    try:
        reserve.write_bytes(os.urandom(RESERVE_BYTES))
    except OSError:
        reserve.unlink(missing_ok=True)
