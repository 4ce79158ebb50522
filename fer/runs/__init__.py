"""Runs: background jobs that never get lost. One folder each, one queue, the truth after any crash.

`create_run(config)` makes one, `submit(run)` starts it as soon as its device is free, `run.status()` tells
the truth at any time, `stop` and `resume` end and continue it. `run_here(run)` does the same work in this
process. Nothing here imports TensorFlow; only the worker's job does.
"""

from fer.runs.creation import create_run, record_finished
from fer.runs.here import run_here
from fer.runs.labels import all_tags, archive, empty_trash, list_trash, note, remove, rename, restore, tag
from fer.runs.launchers import resume, stop, submit
from fer.runs.lifecycle import cancel, ensure_dispatcher, move, pause, wait
from fer.runs.queue import all_paused as queue_paused
from fer.runs.run import Run, list_runs, open_run, runs_directory, shipped_runs, statuses
from fer.runs.schedule import orphans
from fer.runs.status import ENDED, RESUMABLE, STATES, RunStatus

__all__ = [
    "ENDED",
    "RESUMABLE",
    "STATES",
    "Run",
    "RunStatus",
    "all_tags",
    "archive",
    "cancel",
    "create_run",
    "empty_trash",
    "ensure_dispatcher",
    "list_runs",
    "list_trash",
    "move",
    "note",
    "open_run",
    "orphans",
    "pause",
    "queue_paused",
    "record_finished",
    "remove",
    "rename",
    "restore",
    "resume",
    "run_here",
    "runs_directory",
    "shipped_runs",
    "statuses",
    "stop",
    "submit",
    "tag",
    "wait",
]
