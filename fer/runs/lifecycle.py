"""The verbs of the local engine: submit, stop, cancel, pause, move, wait."""

import json
import subprocess
import time
from typing import Any

from fer import storage
from fer.errors import UserError
from fer.runs import files, locks, processes, queue, schedule, status
from fer.runs.processes import Identity
from fer.runs.run import Run, open_run
from fer.runs.status import RunStatus

DISPATCHER_LOCK = "dispatcher"
_started: list[subprocess.Popen[bytes]] = []


def submit(run: Run | str, foreground: Identity | None = None) -> RunStatus:
    """Put a run at the end of the queue and see to it that somebody serves the queue.

    Asking again while it waits or runs changes nothing, so clicks and tabs cannot start it twice.

    Raises:
        UserError: it has finished, or its config is damaged.
    """
    run = open_run(run)
    check_startable(run)
    with queue.transaction() as connection:
        record = files.read_record(run.directory)
        settled = status.settled(run.id, run.directory)
        row = queue.row(run.id, connection)
        waiting = settled.get("state") == "queued" and row is not None
        if settled.get("state") == "finished":
            raise UserError(
                f"The run {run.name!r} has finished. Start a copy of it with the changes you want."
            )
        if not waiting and settled.get("state") != "running":
            if record.get("state") == "running":
                schedule.end_family(record)  # its trainer is gone, something it started may not be
            queue.delete(connection, run.id)
            (run.directory / "stop").unlink(missing_ok=True)
            files.write_record(run.directory, fresh_record(run, settled))
            waiter = None if foreground is None else _as_text(foreground)
            queue.add(connection, run.id, run.kind, str(run.config.get("device") or "auto"), waiter)
    if foreground is None:
        ensure_dispatcher()
    return run.status()


def stop(run: Run | str, wait: bool = True) -> RunStatus:
    """End a run: a waiting one at once, a running one within 10 s with everything it started.

    The best model, the history and the state for Resume are kept.

    Args:
        wait: return when it has ended; False returns at once and the supervisor sees to the rest.
    """
    run = open_run(run)
    if _cancel_waiting(run):
        return run.status()
    with queue.transaction():
        record = status.settled(run.id, run.directory)
        if record.get("state") != "running":
            return run.status()
        if not schedule.stop_requested(run.directory):
            schedule.request_stop(run.directory)
    trainer = Identity.from_json(record["process"])
    assert trainer is not None, "a settled running record names its process"
    processes.ask_to_end(trainer)
    if wait:
        _wait_for_end(run, record, trainer)
    return run.status()


def cancel(run: Run | str) -> RunStatus:
    """Take a waiting run out of the queue; a running one is left alone.

    Raises:
        UserError: it is not waiting.
    """
    run = open_run(run)
    record = files.read_record(run.directory)
    if record.get("engine") == "ray" and record.get("state") == "queued":
        from fer.runs.launchers import ray

        return ray.stop(run)
    if not _cancel_waiting(run):
        raise UserError(
            f"The run {run.name!r} is {run.status().state}, not queued. Stop it if it is running."
        )
    return run.status()


def pause(run: Run | str | None = None, paused: bool = True) -> None:
    """Keep a waiting run, or the whole queue, from starting (`paused=False`: let it start again).

    Raises:
        UserError: the run is not waiting.
    """
    if run is None:
        queue.pause_all(paused)
    else:
        run = open_run(run)
        with queue.transaction() as connection:
            _waiting_row(run, queue.rows(connection))
            queue.set_paused(connection, run.id, paused)
    if not paused and queue.rows():
        ensure_dispatcher()


def move(run: Run | str, position: int) -> None:
    """Give a waiting run another place in the launch order, 1 for the next.

    Raises:
        UserError: the run is not waiting.
    """
    run = open_run(run)
    with queue.transaction() as connection:
        rows = queue.rows(connection)
        _waiting_row(run, rows)
        order = [row.run for row in rows if row.state == "queued" and row.run != run.id]
        order.insert(max(0, position - 1), run.id)
        queue.set_order(connection, [row.run for row in rows if row.state != "queued"] + order)


def wait(run: Run | str, timeout: float | None = None) -> RunStatus:
    """The status once the run has ended, or after `timeout` seconds."""
    run = open_run(run)
    deadline = None if timeout is None else time.monotonic() + timeout
    while (now := run.status()).active and (deadline is None or time.monotonic() < deadline):
        if now.state == "queued":
            ensure_dispatcher()
        time.sleep(0.1)
    return now


def ensure_dispatcher() -> bool:
    """Start the process that serves the queue unless one lives; True when one was started.

    Called by `submit` and when a dashboard starts. Racing callers are harmless: one gets the lock.
    """
    _started[:] = [process for process in _started if process.poll() is None]
    if locks.is_held(DISPATCHER_LOCK) or not queue.path().exists():
        return False
    log = storage.cache_directory() / "dispatcher.log"
    if log.exists() and log.stat().st_size > 1_000_000:
        log.unlink(missing_ok=True)
    _started.append(processes.spawn_detached("fer.runs.dispatcher", [], log))
    return True


def check_startable(run: Run) -> None:
    """Raise `UserError` for a run that no engine could start."""
    if run.damaged:
        raise UserError(f"The run {run.name!r} cannot start: {run.damaged}")
    if run.directory.parent != storage.cache_directory() / "runs":
        raise UserError(f"The run {run.name!r} comes with the program and cannot be started.")


def fresh_record(run: Run, record: dict[str, Any]) -> dict[str, Any]:
    """The record of a new attempt, with what earlier attempts have used."""
    seconds = float(record.get("seconds_before") or 0)
    if record.get("started"):
        seconds += max(0.0, (record.get("ended") or record["started"]) - record["started"])
    return {
        "format": 1,
        "state": "queued",
        "created": record.get("created") or run.created,
        "queued": time.time(),
        "attempt": int(record.get("attempt") or 0) + 1,
        "seconds_before": seconds,
    }


def _cancel_waiting(run: Run) -> bool:
    with queue.transaction() as connection:
        record = files.read_record(run.directory)
        row = queue.row(run.id, connection)
        if record.get("state") != "queued" or (row is not None and row.state == "running"):
            return False
        queue.delete(connection, run.id)
        files.write_record(run.directory, record | status.CANCELLED | {"ended": time.time()})
    return True


def _wait_for_end(run: Run, record: dict[str, Any], trainer: Identity) -> None:
    deadline = time.monotonic() + schedule.GRACE
    while trainer.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    schedule.end_family(record)
    if not status.supervised(record):
        schedule.record_end(run.id, run.directory, record["token"], schedule.forced_stop(run.directory))
    deadline = time.monotonic() + 2
    while files.read_record(run.directory).get("state") == "running" and time.monotonic() < deadline:
        time.sleep(0.05)  # its supervisor is about to write how it ended


def _waiting_row(run: Run, rows: list[queue.Row]) -> queue.Row:
    for row in rows:
        if row.run == run.id and row.state == "queued":
            return row
    if files.read_record(run.directory).get("engine") == "ray":
        raise UserError(f"The run {run.name!r} is in the cluster, which decides itself what starts when.")
    raise UserError(
        f"The run {run.name!r} is {run.status().state}, not waiting in the queue. Only waiting runs can."
    )


def _as_text(waiter: Identity) -> str:
    return json.dumps(waiter.to_json())
