"""Who starts next, and what to do with what a crash left behind. Any process may call it at any time."""

import contextlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from fer import storage
from fer.errors import UserError
from fer.runs import families, files, locks, processes, queue, slots, status
from fer.runs.processes import Identity
from fer.runs.run import open_run, runs_directory

GRACE = 7.0
"""Seconds a trainer has to save and leave after it was asked to; the whole Stop takes at most 10."""


def assign(
    rows: Iterable[queue.Row],
    is_free: Callable[[slots.Slot], bool],
    places: Callable[[str, str], list[slots.Slot]],
    paused: bool = False,
    forerunners: Callable[[str], set[str]] = lambda run: set(),
) -> list[tuple[queue.Row, slots.Slot]]:
    """Which waiting run gets which free slot now, in launch order.

    A run passes another only where that one could not start: on a device it did not ask for, or because a
    run that it builds on is itself still in the queue, waiting or running.

    Args:
        rows: the queue in launch order.
        is_free: does nothing else hold this slot?
        places: `slots.candidates`; may raise `UserError`, the run is then passed over.
        paused: the whole queue is paused; a run that waits in a terminal goes on nevertheless.
        forerunners: ids of the runs that a run builds on.
    """
    rows = list(rows)
    listed = {row.run for row in rows}
    taken = {row.slot for row in rows if row.state != "queued"}
    pairs = []
    for row in rows:
        if row.state != "queued" or row.paused or (paused and row.foreground is None):
            continue
        try:
            wanted = places(row.kind, row.device)
        except UserError:
            continue
        place = next((place for place in wanted if place.name not in taken and is_free(place)), None)
        if place is not None and not listed & forerunners(row.run):
            taken.add(place.name)
            pairs.append((row, place))
    return pairs


def forerunners(run: str) -> set[str]:
    """Ids of the runs whose networks this one needs, as far as there are such runs."""
    config = files.read_object(runs_directory() / run / "config.json").get("config")
    found = set()
    for key in files.built_on(config if isinstance(config, dict) else {}):
        with contextlib.suppress(UserError):  # the run itself says so when it starts
            found.add(open_run(key).id)
    return found - {run}


def slot_is_free(place: slots.Slot) -> bool:
    return not locks.is_held(place.lock)


def record_end(run: str, directory: Path, token: str, changes: dict[str, Any]) -> bool:
    """Record how this attempt ended and take it out of the queue; False when that is settled already.

    Works on a full disk too: the worker frees a reserve first, and the queue is tidied later.
    """

    def write() -> bool:
        record = files.read_record(directory)
        damaged = record.get("state") == "damaged"
        if not damaged and (record.get("token") != token or record.get("state") != "running"):
            return False
        files.write_record(directory, record | {"ended": time.time()} | changes)
        return True

    try:
        with queue.transaction() as connection:
            written = write()
            queue.delete(connection, run, token)
        return written
    except UserError:  # the disk is full or the queue unusable: the record matters more
        return write()


def request_stop(directory: Path) -> None:
    """Ask the trainer to end, in the way every system and every shared folder understands."""
    (directory / "stop").touch()


def stop_requested(directory: Path) -> bool:
    return (directory / "stop").exists()


def enforce_stop(directory: Path, record: dict[str, Any]) -> None:
    """End a trainer that was asked to stop more than `GRACE` seconds ago, with all it started."""
    try:
        asked = (directory / "stop").stat().st_mtime
    except OSError:
        return
    if time.time() - asked > GRACE:
        end_family(record)


def end_family(record: dict[str, Any]) -> list[int]:
    """Kill what is left of the attempt in `record`; returns the ids."""
    trainer = Identity.from_json(record.get("process"))
    return families.kill_family(trainer, str(record.get("token") or ""), bool(record.get("detached")))


def forced_stop(directory: Path) -> dict[str, Any]:
    """How a run is recorded that had to be killed after Stop."""
    when = files.after_epochs(directory)
    return {
        "state": "stopped",
        "reason": f"Stopped by you{when}; it was busy and had to be ended by force.",
        "remedy": status.RESUME,
    }


def orphans() -> dict[int, str]:
    """`{pid: run}` of processes of this cache that belong to no running attempt: what `doctor` shows."""
    tokens = {row.token for row in queue.rows() if row.state != "queued"}
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            variables = process.environ()
            token = variables.get(processes.MARKER)
            ours = Path(variables.get("FER_CACHE") or storage.PROJECT / "cache").resolve()
            if ours != storage.cache_directory() or not token:
                continue  # somebody else's, whose queue we do not know
            if token not in tokens and process.status() not in processes.GONE:
                found[process.pid] = variables.get("FER_RUN", "")
    return found


def reconcile() -> None:
    """Make the queue agree with the processes: settle running rows whose trainer is gone."""
    for row in queue.rows():
        directory = runs_directory() / row.run
        if row.state == "running":
            _reconcile_running(row, directory)
        elif row.foreground is not None and not _waiter_alive(row):
            with queue.transaction() as connection:
                queue.delete(connection, row.run, row.token)
        elif not directory.is_dir():
            with queue.transaction() as connection:
                queue.delete(connection, row.run)


def _reconcile_running(row: queue.Row, directory: Path) -> None:
    record = status.settled(row.run, directory)
    if record.get("token") != row.token or not directory.is_dir():
        families.kill_family(None, row.token, own_group=False)
        with queue.transaction() as connection:
            queue.delete(connection, row.run, row.token)
    elif record.get("state") == "running":
        enforce_stop(directory, record)
    elif not status.supervised(record):
        end_family(record)
        changes = forced_stop(directory) if stop_requested(directory) else record
        record_end(row.run, directory, row.token, changes)


def _waiter_alive(row: queue.Row) -> bool:
    waiter = Identity.from_json(json.loads(row.foreground or "null"))
    return waiter is not None and waiter.alive()
