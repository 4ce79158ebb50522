"""Runs in the foreground, as `python -m fer train` does them."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fer.errors import UserError
from fer.runs import failures, lifecycle, processes, queue, schedule, slots
from fer.runs.execution import execute
from fer.runs.jobs import Progress
from fer.runs.run import Run, open_run
from fer.runs.slots import Slot
from fer.runs.status import RunStatus


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
                rows,
                schedule.slot_is_free,
                slots.candidates,
                queue.all_paused(connection),
                schedule.forerunners,
            )
            for row, place in pairs:
                if row.run == run.id:
                    return queue.claim(connection, run.id, place.name), place
        if len(rows) > 1:
            lifecycle.ensure_dispatcher()  # those before us must get on
        if progress is not None:
            progress(0.0, run.status().reason)
        time.sleep(0.3)
