"""`python -m fer.runs.dispatcher`: hands queued runs to free slots. One lives at a time; any may be killed.

Everything it knows is in the queue, so another one goes on where it ended. It exits when the queue has
been empty (or nothing in it may start) for `FER_DISPATCHER_IDLE` seconds, 60 by default.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import traceback

from fer import storage
from fer.errors import UserError
from fer.runs import failures, lifecycle, locks, processes, queue, schedule, slots
from fer.runs.run import open_run, runs_directory
from fer.runs.worker import NOT_MINE

POLL = 0.25
TRIES = 3


class Dispatcher:
    """Starts supervisors; `children` are those it started itself, by the token of their claim."""

    def __init__(self) -> None:
        self.children: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}

    def step(self) -> bool:
        """Look at everything once; True while there is something to wait for."""
        self._reap()
        schedule.reconcile()
        self._refuse()
        self._launch()
        rows = queue.rows()
        paused = queue.all_paused()
        return bool(self.children) or any(row.state != "queued" or not (row.paused or paused) for row in rows)

    def take_back_claims(self) -> None:
        """Claims of an earlier dispatcher whose worker has not accepted: it will come too late now."""
        with queue.transaction() as connection:
            for row in queue.rows(connection):
                if row.state == "claimed" and row.foreground is None:
                    queue.release(connection, row.run, row.token)

    def _reap(self) -> None:
        for token, (run, child) in list(self.children.items()):
            code = child.poll()
            if code is None:
                continue
            del self.children[token]
            with queue.transaction() as connection:
                queue.release(connection, run, token, failed=code != NOT_MINE)

    def _refuse(self) -> None:
        """Runs that can never start here are failures with a reason, not eternal waiters."""
        for row in queue.rows():
            if row.state != "queued" or row.paused:
                continue
            try:
                slots.candidates(row.kind, row.device)
                if row.failures >= TRIES:
                    raise UserError(f"Its process could not be started, {TRIES} times.")
            except UserError as error:
                failures.record_unstartable(
                    open_run(row.run), str(error), "start" if row.failures >= TRIES else "device"
                )

    def _launch(self) -> None:
        rows = queue.rows()
        pairs = schedule.assign(
            rows, schedule.slot_is_free, slots.candidates, queue.all_paused(), schedule.forerunners
        )
        for row, place in pairs:
            if row.foreground is not None:
                continue  # its own process takes the slot, which is kept for it
            try:
                with queue.transaction() as connection:
                    if queue.rows(connection) != rows:
                        return  # the queue has changed meanwhile: decide again
                    token = queue.claim(connection, row.run, place.name)
                    rows = queue.rows(connection)
            except sqlite3.IntegrityError:
                return
            self._start(row.run, token, place)

    def _start(self, run: str, token: str, place: slots.Slot) -> None:
        log = runs_directory() / run / "train.log"
        try:
            child = processes.spawn_detached("fer.runs.supervisor", [run, token, place.name], log)
        except OSError:
            traceback.print_exc()
            with queue.transaction() as connection:
                queue.release(connection, run, token, failed=True)
            return
        self.children[token] = (run, child)


def serve(idle_seconds: float) -> None:
    """Serve until there has been nothing to do for so long; the lock is ours meanwhile."""
    dispatcher = Dispatcher()
    dispatcher.take_back_claims()
    busy_at = time.monotonic()
    while queue.path().exists() and time.monotonic() - busy_at < idle_seconds:
        try:
            if dispatcher.step():
                busy_at = time.monotonic()
        except (UserError, sqlite3.Error, OSError):
            traceback.print_exc()  # a full disk or a busy file: try again, the queue must go on
            time.sleep(1.0)
        time.sleep(POLL)


def main() -> int:
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    idle = float(os.environ.get("FER_DISPATCHER_IDLE") or 60)
    while queue.path().exists():
        lock = locks.hold_patiently(lifecycle.DISPATCHER_LOCK)
        if lock is None:
            return 0  # another one serves
        try:
            serve(idle)
        finally:
            lock.release()
        if not any(not row.paused for row in queue.rows()) or queue.all_paused():
            return 0
        idle = 1.0  # a run was submitted while we were leaving: its caller saw our lock and relied on us
    return 0


if __name__ == "__main__":
    storage.cache_directory()
    sys.exit(main())
