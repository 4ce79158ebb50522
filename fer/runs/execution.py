"""Doing the work of a run in this process: locks, status, job, and an honest record of how it ended.

The background worker (`fer.runs.worker`) and `python -m fer train` (`run_here`) share this code.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer import storage
from fer.errors import UserError
from fer.runs import failures, lifecycle, locks, processes, queue, schedule, slots, status
from fer.runs.jobs import OWN_PROGRESS, Progress, load_job
from fer.runs.processes import Identity
from fer.runs.run import Run, open_run
from fer.runs.slots import Slot
from fer.runs.status import RunStatus

RESERVE_BYTES = 256 * 1024


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

    def reason(self, epochs: int) -> str:
        if schedule.stop_requested(self.directory):
            return f"Stopped by you after epoch {epochs}."
        if self.signal == "SIGINT":
            return f"Stopped with Ctrl-C after epoch {epochs}."
        if self.signal:
            return f"Its process was asked to end ({self.signal}) after epoch {epochs}."
        return f"Stopped after epoch {epochs}."

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
                status.write_record(run.directory, _running(run, token, place, supervisor))
            reserve = run.directory / "reserve"
            _fill(reserve)
            outcome = _work(run, stopper, ProgressWriter(run, show))
            reserve.unlink(missing_ok=True)  # makes room for the record when the disk is full
            schedule.record_end(run.id, run.directory, token, outcome)
            return True
    finally:
        for lock in held:
            lock.release()


def run_here(run: Run | str, progress: Progress | None = None) -> RunStatus:
    """Do a run in this process, waiting for its device like a queued one; Ctrl-C stops it gracefully.

    Args:
        progress: called with (fraction, text), also while it waits.

    Raises:
        UserError: it waits or runs elsewhere already, has finished, or asks for a GPU that is not there.
        KeyboardInterrupt: Ctrl-C while it waited for its device; it has left the queue then.
    """
    run = open_run(run)
    if run.status().active:
        raise UserError(
            f"The run {run.name!r} is {run.status().state} already. Look at it with: show {run.id}"
        )
    try:
        slots.candidates(run.kind, str(run.config.get("device") or "auto"))
    except UserError as error:
        failures.record_unstartable(run, str(error))
        raise
    lifecycle.submit(run, foreground=processes.identity())
    try:
        token, place = _wait_for_slot(run, progress)
    except BaseException:
        lifecycle.stop(run)
        raise
    with _environment(slots.environment(place) | {"FER_RUN": run.id, processes.MARKER: token}):
        if not execute(run, token, place, show=progress):
            raise UserError(f"The run {run.name!r} was taken out of the queue before it started.")
    return run.status()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _wait_for_slot(run: Run, progress: Progress | None) -> tuple[str, Slot]:
    while True:
        schedule.reconcile()
        with queue.transaction() as connection:
            rows = queue.rows(connection)
            if not any(row.run == run.id for row in rows):
                raise UserError(f"The run {run.name!r} was cancelled while it waited.")
            pairs = schedule.assign(
                rows, schedule.slot_is_free, slots.candidates, queue.all_paused(connection)
            )
            for row, place in pairs:
                if row.run == run.id:
                    return queue.claim(connection, run.id, place.name), place
        if len(rows) > 1:
            lifecycle.ensure_dispatcher()  # those before us must get on
        if progress is not None:
            progress(0.0, run.status().reason)
        time.sleep(0.3)


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
    return status.read_record(run.directory) | {
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
    epochs = len(status.history_rows(run.directory))
    reason = result.get("reason") or stopper.reason(epochs)
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
