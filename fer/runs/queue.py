"""The queue: which runs wait, in which order, and who may start them. SQLite, in `cache/queue.sqlite`.

A row lives from `submit` until the run has ended. `queued` → `claimed` (the dispatcher gave it a slot and
a fresh token) → `running` (the worker that knows the token accepted). A worker whose token was replaced
in between does nothing, so each run starts exactly once, whoever dies when. The index on `slot` makes a
second holder impossible. `transaction()` is also the lock under which every `status.json` is changed.
"""

import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fer import storage
from fer.errors import UserError
from fer.runs import locks

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
_COLUMNS = "run, position, kind, device, state, slot, token, paused, failures, queued, foreground"


@dataclass(frozen=True)
class Row:
    """One run in the queue; `foreground` holds the identity of the process that waits to run it itself."""

    run: str
    position: float
    kind: str
    device: str
    state: str
    slot: str | None
    token: str
    paused: int
    failures: int
    queued: float
    foreground: str | None


def path() -> Path:
    return storage.cache_directory() / "queue.sqlite"


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """One writer at a time across all processes; rolled back on an exception, durable when it returns."""
    connection = _connect()
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
    except sqlite3.OperationalError as error:
        raise _explained(error) from error
    finally:
        connection.close()


def rows(connection: sqlite3.Connection | None = None) -> list[Row]:
    """Every row in launch order; none when there is no queue yet."""
    if connection is None:
        if not path().exists():
            return []
        with _reading() as own:
            return rows(own)
    found = connection.execute(f"SELECT {_COLUMNS} FROM queue ORDER BY position, run").fetchall()
    return [Row(*columns) for columns in found]


def row(run: str, connection: sqlite3.Connection | None = None) -> Row | None:
    return next((found for found in rows(connection) if found.run == run), None)


def add(
    connection: sqlite3.Connection, run: str, kind: str, device: str, foreground: str | None = None
) -> None:
    """Put a run at the end of the queue."""
    (last,) = connection.execute("SELECT COALESCE(MAX(position), 0) FROM queue").fetchone()
    connection.execute(
        "INSERT INTO queue (run, position, kind, device, state, token, queued, foreground)"
        " VALUES (?, ?, ?, ?, 'queued', ?, ?, ?)",
        (run, last + 1, kind, device, new_token(), time.time(), foreground),
    )


def claim(connection: sqlite3.Connection, run: str, slot: str) -> str:
    """Give a queued run a slot; returns the token its worker must show."""
    token = new_token()
    connection.execute(
        "UPDATE queue SET state = 'claimed', slot = ?, token = ? WHERE run = ? AND state = 'queued'",
        (slot, token, run),
    )
    return token


def accept(connection: sqlite3.Connection, run: str, token: str) -> bool:
    """The worker takes a claim over; False when the claim is no longer valid."""
    changed = connection.execute(
        "UPDATE queue SET state = 'running' WHERE run = ? AND token = ? AND state = 'claimed'", (run, token)
    )
    return changed.rowcount == 1


def release(connection: sqlite3.Connection, run: str, token: str, failed: bool = False) -> bool:
    """Take a claim back that no worker accepted: the run waits again at its old place."""
    changed = connection.execute(
        "UPDATE queue SET state = 'queued', slot = NULL, token = ?, failures = failures + ?"
        " WHERE run = ? AND token = ? AND state = 'claimed'",
        (new_token(), int(failed), run, token),
    )
    return changed.rowcount == 1


def delete(connection: sqlite3.Connection, run: str, token: str | None = None) -> bool:
    """Take a run out of the queue, if `token` is given only this attempt of it."""
    changed = connection.execute(
        "DELETE FROM queue WHERE run = ? AND (? IS NULL OR token = ?)", (run, token, token)
    )
    return changed.rowcount > 0


def set_paused(connection: sqlite3.Connection, run: str, paused: bool) -> None:
    connection.execute("UPDATE queue SET paused = ? WHERE run = ?", (int(paused), run))


def set_order(connection: sqlite3.Connection, order: list[str]) -> None:
    """Launch order from first to last."""
    connection.executemany(
        "UPDATE queue SET position = ? WHERE run = ?", [(n + 1, run) for n, run in enumerate(order)]
    )


def all_paused(connection: sqlite3.Connection | None = None) -> bool:
    """Is the whole queue paused? Running runs go on; none is started."""
    if connection is None:
        if not path().exists():
            return False
        with _reading() as own:
            return all_paused(own)
    found = connection.execute("SELECT value FROM settings WHERE name = 'paused'").fetchone()
    return found is not None and found[0] == "yes"


def pause_all(paused: bool) -> None:
    with transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO settings VALUES ('paused', ?)", ("yes" if paused else "no",)
        )


def run_of_request(connection: sqlite3.Connection, request: str) -> str | None:
    found = connection.execute("SELECT run FROM requests WHERE request = ?", (request,)).fetchone()
    return found[0] if found else None


def remember_request(connection: sqlite3.Connection, request: str, run: str) -> None:
    connection.execute("DELETE FROM requests WHERE made < ?", (time.time() - 30 * 86400,))
    connection.execute("INSERT INTO requests VALUES (?, ?, ?)", (request, run, time.time()))


def new_token() -> str:
    return uuid.uuid4().hex


@contextmanager
def _reading() -> Iterator[sqlite3.Connection]:
    connection = _connect()
    try:
        yield connection
    except sqlite3.OperationalError as error:
        raise _explained(error) from error
    finally:
        connection.close()


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
        if connection.execute("PRAGMA user_version").fetchone()[0] != 1:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = 1; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside() -> None:
    repair = locks.hold("queue-repair", timeout=10)
    try:
        try:
            _open().close()  # another process repaired it meanwhile
        except sqlite3.OperationalError:
            pass
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
