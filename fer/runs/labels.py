"""What a user does to a run without touching its work: rename, tag, note, archive, remove, restore."""

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from fer import storage
from fer.errors import UnknownName, UserError
from fer.runs import files, locks, queue, schedule, status
from fer.runs.creation import check_free, check_run_name
from fer.runs.run import Run, list_runs, open_run, read_labels, runs_directory


def rename(run: Run | str, name: str) -> Run:
    """Give a run another name; its id and folder stay, so links and a running trainer do too."""
    check_run_name(name)
    run = open_run(run)
    with queue.transaction():
        check_free(name, but=run.id)
        return _change(run, name=name)


def tag(run: Run | str, tags: Iterable[str]) -> Run:
    """Replace a run's tags; empty ones and repetitions are dropped."""
    cleaned = list(dict.fromkeys(text.strip()[:40] for text in tags if text.strip()))
    with queue.transaction():
        return _change(open_run(run), tags=cleaned)


def note(run: Run | str, text: str) -> Run:
    """Replace a run's note."""
    with queue.transaction():
        return _change(open_run(run), note=text[:10_000])


def archive(run: Run | str, archived: bool = True) -> Run:
    """Put a run out of the way of lists, or back; nothing is deleted."""
    with queue.transaction():
        return _change(open_run(run), archived=archived)


def trash_directory() -> Path:
    return storage.cache_directory() / "trash" / "runs"


def remove(run: Run | str) -> str:
    """Move a run to the trash and return its id for `restore`; a queued one is cancelled first.

    Raises:
        UserError: it is running, or it is the starter.
    """
    run = _own(open_run(run))
    if files.read_record(run.directory).get("engine") == "ray" and run.status().state == "queued":
        from fer.runs.launchers import ray

        ray.stop(run)
    target = trash_directory() / run.id
    target.parent.mkdir(parents=True, exist_ok=True)
    with queue.transaction() as connection:
        row = queue.row(run.id, connection)
        recorded = files.read_record(run.directory)
        record = status.settled(run.id, run.directory)
        if recorded.get("state") == "running" != record.get("state"):
            schedule.end_family(recorded)  # its trainer is gone; something it started may not be
        if record.get("state") == "running":
            raise UserError(f"The run {run.name!r} is running. Stop it first, then remove it.")
        if row is not None:
            queue.delete(connection, run.id)
        if record.get("state") == "queued":
            files.write_record(run.directory, record | status.CANCELLED)
        try:
            os.utime(run.directory)  # the trash is emptied by age
            os.replace(run.directory, target)
        except OSError as error:
            if os.name == "nt" and isinstance(error, PermissionError):
                raise UserError(
                    f"A file of the run {run.name!r} is open elsewhere. Close it and try again."
                ) from error
            raise storage.disk_error(error, target) from error
    return run.id


def restore(identifier: str) -> Run:
    """Bring a removed run back.

    Raises:
        UnknownName: it is not in the trash.
    """
    if identifier not in list_trash():
        raise UnknownName("removed run", identifier, list_trash())
    with queue.transaction():
        runs_directory().mkdir(parents=True, exist_ok=True)
        os.replace(trash_directory() / identifier, runs_directory() / identifier)
        run = open_run(identifier)
        try:
            check_free(run.name, but=run.id)
        except UserError:  # the name was given to another run meanwhile
            return _change(run, name=run.id)
    return run


def list_trash() -> list[str]:
    """Ids of removed runs that can be restored, the last removed first."""
    if not trash_directory().is_dir():
        return []
    return [
        f.name for f in sorted(trash_directory().iterdir(), key=lambda f: f.stat().st_mtime, reverse=True)
    ]


def empty_trash(older_than_days: float = 0.0) -> list[str]:
    """Delete removed runs for good; returns their ids."""
    limit = time.time() - older_than_days * 86400
    gone = [name for name in list_trash() if (trash_directory() / name).stat().st_mtime <= limit]
    for name in gone:
        shutil.rmtree(trash_directory() / name)
        locks.lock_path(status.run_lock(name)).unlink(missing_ok=True)
    return gone


def all_tags() -> list[str]:
    """Every tag in use, sorted."""
    return sorted({text for run in list_runs() for text in run.tags})


def _change(run: Run, **labels: object) -> Run:
    _own(run)
    storage.write_json(run.directory / "labels.json", read_labels(run.directory) | labels)
    return open_run(run.id)


def _own(run: Run) -> Run:
    if run.directory.parent != runs_directory():
        raise UserError(f"The run {run.name!r} comes with the program and cannot be changed.")
    return run
