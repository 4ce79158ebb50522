"""The file `cache/queue.sqlite`: made by whoever comes first, written ahead, synchronous, repaired."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer import storage
from fer.errors import UserError
from fer.runs import locks

FORMAT = 1  # of the database, in its user_version
_SCHEMA = """
CREATE TABLE IF NOT EXISTS queue (
    run TEXT PRIMARY KEY,
    position REAL NOT NULL,
    kind TEXT NOT NULL,
    device TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'claimed', 'running')),
    slot TEXT,
    token TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    queued REAL NOT NULL,
    foreground TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_holder_per_slot ON queue (slot) WHERE state != 'queued';
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (request TEXT PRIMARY KEY, run TEXT NOT NULL, made REAL NOT NULL);
"""


def path() -> Path:
    return storage.cache_directory() / "queue.sqlite"


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """One writer at a time across all processes; rolled back on an exception, durable when it returns."""
    with reading() as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        connection.commit()


@contextmanager
def reading() -> Iterator[sqlite3.Connection]:
    """A connection that is closed afterwards; what goes wrong with the file becomes a sentence."""
    connection = _connect()
    damage: sqlite3.DatabaseError | None = None
    try:
        yield connection
    except sqlite3.OperationalError as error:
        raise _explained(error) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        damage = error
    finally:
        connection.close()
    if damage is not None:
        _set_aside()
        text = "The queue was damaged and has been put aside. Try again; resume the runs that were waiting."
        raise UserError(text) from damage


def _connect() -> sqlite3.Connection:
    """An open queue. A damaged file is set aside: its runs then read `interrupted` and can be resumed."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return _open()
        except sqlite3.OperationalError as error:  # busy while another process creates it
            if time.monotonic() > deadline or "lock" not in str(error):
                raise _explained(error) from error
            time.sleep(0.05)
        except sqlite3.DatabaseError:
            _set_aside()


def _open() -> sqlite3.Connection:
    connection = sqlite3.connect(path(), timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise UserError(
                f"The queue {path()} was written by a newer version of this program (format {version}; this "
                f"one reads {FORMAT}). Use that version, or set FER_CACHE to another folder."
            )
        if version != FORMAT:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside() -> None:
    """Move a damaged file away, unless another process has done that meanwhile."""
    repair = locks.hold("queue-repair", timeout=10)
    try:
        try:
            connection = _open()
            try:
                healthy = connection.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            finally:
                connection.close()
            if not healthy:
                raise sqlite3.DatabaseError("damaged inside")
        except sqlite3.OperationalError:
            pass  # busy: another process is at work on it
        except sqlite3.DatabaseError:
            stamp = f"{time.time():.0f}"
            os.replace(path(), path().with_name(f"queue.damaged-{stamp}.sqlite"))
            for suffix in ("-wal", "-shm"):
                path().with_name(path().name + suffix).unlink(missing_ok=True)
    finally:
        if repair:
            repair.release()


def _explained(error: sqlite3.OperationalError) -> Exception:
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return UserError(
            f"The queue {path()} cannot be written ({text}). Free some disk space and try again."
        )
    if "readonly" in text or "unable to open" in text:
        return UserError(f"The queue {path()} cannot be opened ({text}). Set FER_CACHE to another folder.")
    return error
