"""The queue: which runs wait, in which order, and who may start them. SQLite, in `cache/queue.sqlite`.

A row lives from `submit` until the run has ended. `queued` → `claimed` (the dispatcher gave it a slot and
a fresh token) → `running` (the worker that knows the token accepted). A worker whose token was replaced
in between does nothing, so each run starts exactly once, whoever dies when. The index on `slot` makes a
second holder impossible. `transaction()` is also the lock under which every `status.json` is changed.
"""

import sqlite3
import time
import uuid
from dataclasses import dataclass

from fer.runs import database
from fer.runs.database import path, transaction

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


def rows(connection: sqlite3.Connection | None = None) -> list[Row]:
    """Every row in launch order; none when there is no queue yet."""
    if connection is None:
        if not path().exists():
            return []
        with database.reading() as own:
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
        with database.reading() as own:
            return all_paused(own)
    found = connection.execute("SELECT value FROM settings WHERE name = 'paused'").fetchone()
    return found is not None and found[0] == "yes"


def pause_all(paused: bool) -> None:
    with transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO settings VALUES ('paused', ?)", ("yes" if paused else "no",)
        )


def run_of_request(connection: sqlite3.Connection, request: str, since: float = 0.0) -> str | None:
    """The run that was made for this request at or after `since`, seconds since 1970."""
    found = connection.execute("SELECT run FROM requests WHERE request = ? AND made >= ?", (request, since))
    row = found.fetchone()
    return row[0] if row else None


def remember_request(connection: sqlite3.Connection, request: str, run: str) -> None:
    """Note which run was made for a request; forgotten after 30 days."""
    connection.execute("DELETE FROM requests WHERE made < ?", (time.time() - 30 * 86400,))
    connection.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?)", (request, run, time.time()))


def new_token() -> str:
    return uuid.uuid4().hex
