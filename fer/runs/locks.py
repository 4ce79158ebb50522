"""Locks the kernel releases when their holder dies, however it dies.

`cache/locks/<name>.lock`: one for the dispatcher, one per slot (a GPU, the CPU), one per running run.
"""

import os
import re
import time
from pathlib import Path

from filelock import FileLock, Timeout

from fer import storage


def lock_path(name: str) -> Path:
    directory = storage.cache_directory() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / (re.sub(r"[^A-Za-z0-9._-]", "-", name) + ".lock")


def hold(name: str, timeout: float = 0.0) -> FileLock | None:
    """Take the lock, waiting at most `timeout` seconds; None when another process keeps it."""
    lock = FileLock(lock_path(name))
    try:
        lock.acquire(timeout=timeout, poll_interval=0.02)
    except Timeout:
        return None
    return lock


def hold_patiently(name: str) -> FileLock | None:
    """Like `hold`, but not misled by another process that is only just looking (`is_held`)."""
    return hold(name, timeout=0.3)


def is_held(name: str) -> bool:
    """Does a living process hold this lock? Looking does not disturb other lookers."""
    path = lock_path(name)
    if not path.exists():
        return False
    if os.name == "nt":
        return _is_held_by_trying(name)
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: many may look at once
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _is_held_by_trying(name: str) -> bool:
    for _ in range(3):
        if lock := hold(name):
            lock.release()
            return False
        time.sleep(0.01)
    return True
