"""The truth about a run: what was recorded, checked against the processes that are alive now.

`status.json` is written by the queue (`queued`), the worker (`running` and how it ended) and, when the
worker could not, the supervisor. A recorded `running` is believed only while that very process lives and
holds the run's lock; otherwise the run was `killed`, or `interrupted` when the machine was restarted.
"""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer.runs import files, locks, queue
from fer.runs.processes import Identity, boot_id, same_boot

STATES: tuple[str, ...] = ("queued", "running", "finished", "stopped", "failed", "killed", "interrupted")
ENDED: tuple[str, ...] = STATES[2:]
RESUMABLE: tuple[str, ...] = ("stopped", "failed", "killed", "interrupted")

OUT_OF_MEMORY = "out_of_memory"
RESUME = "Resume it: it goes on after what it has completed."
CANCELLED = {"state": "stopped", "reason": "Cancelled before it started.", "remedy": "Start it again."}
LOST = {
    "state": "interrupted",
    "reason": "It was in the queue, but the queue no longer knows it.",
    "remedy": RESUME,
}


@dataclass(frozen=True)
class RunStatus:
    """What is known about a run at this moment.

    Attributes:
        state: one of `STATES`.
        reason: why it is in that state, as a sentence for a student; '' when there is nothing to say.
        remedy: what to do next; '' when nothing is needed.
        error: what went wrong, for buttons: `out_of_memory`, `disk_full`, `device`, `damaged`, … or ''.
        settings: changes to the config with which a retry is likely to work, for a button; mostly {}.
        epoch: completed epochs.
        epochs: planned epochs, 0 when unknown or not a training.
        pid: the trainer's own process while it runs, else None.
        device: `cpu`, `gpu:0`, … once started, before that what was asked for.
        node: which node of a cluster it was given; '' on this machine.
        created, queued, started, ended: seconds since 1970, None when it has not happened.
        seconds: time spent running, all attempts together.
        progress: content of progress.json.
        position: 1 for the next run of the queue; None when not queued.
        paused: queued, but not to be started.
        held: paused by itself, not with the whole queue.
    """

    state: str
    reason: str = ""
    remedy: str = ""
    error: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    epochs: int = 0
    pid: int | None = None
    device: str = ""
    node: str = ""
    created: float | None = None
    queued: float | None = None
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0
    progress: dict[str, Any] = field(default_factory=dict)
    position: int | None = None
    paused: bool = False
    held: bool = False

    @property
    def active(self) -> bool:
        """Still going to change by itself."""
        return self.state in ("queued", "running")

    @property
    def where(self) -> str:
        """The device, with its node if that is not this machine."""
        return f"{self.device or 'waits'} on {self.node}" if self.node else self.device

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE


def run_lock(run: str) -> str:
    return f"run-{run}"


def worker_alive(run: str, record: dict[str, Any]) -> bool:
    """Does the recorded trainer live, and is it one of ours?"""
    trainer = Identity.from_json(record.get("process"))
    return trainer is not None and trainer.alive() and locks.is_held(run_lock(run))


def supervised(record: dict[str, Any]) -> bool:
    """Will the supervisor of this attempt tell how it ends?"""
    supervisor = Identity.from_json(record.get("supervisor"))
    return supervisor is not None and supervisor.alive() and not supervisor.halted()


def settled(run: str, directory: Path) -> dict[str, Any]:
    """The record, with a `running` that is not true replaced by how it ended.

    While its supervisor is about to find out how the trainer ended, it is still `running`, `ending`.
    """
    record = files.read_record(directory)
    if record.get("state") != "running" or record.get("engine") == "ray" or worker_alive(run, record):
        return record  # what is true of a cluster's run, its follower writes down
    watched = supervised(record)
    again = files.read_record(directory)  # worker and supervisor write how it ended before they end
    if again.get("state") != "running" or again.get("token") != record.get("token"):
        return again
    if watched:
        return again | {"ending": True, "reason": "Ending."}
    return again | _death(directory, again)


def derive(
    run: str, directory: Path, config: dict[str, Any], rows: list[queue.Row] | None = None
) -> RunStatus:
    """The status of a run.

    Args:
        rows: the queue, when it was read already.
    """
    if not directory.is_dir():
        return RunStatus("stopped", "It was removed.", "Restore it from the trash.")
    for _ in range(5):
        record = settled(run, directory)
        if record.get("engine") == "ray":
            from fer.runs.launchers import ray

            return ray.status_of(directory, config, record)
        if record.get("state") != "queued":
            return known(directory, config, record)
        listed = queue.rows() if rows is None else rows
        rows = None
        waiting = next((row for row in listed if row.run == run), None)
        if waiting is not None and waiting.state != "running":
            return _waiting(waiting, listed, directory, config, record)
        # between the two readings the worker took over, or it was cancelled: read again
    if time.time() - float(record.get("queued") or 0) < 3:
        return RunStatus("queued", "Entering the queue.", created=record.get("created"))
    return known(directory, config, record | LOST)


def known(directory: Path, config: dict[str, Any], record: dict[str, Any]) -> RunStatus:
    """The status that a record tells, with what the job wrote beside it."""
    state, reason, remedy = (str(record.get(key) or "") for key in ("state", "reason", "remedy"))
    error = str(record.get("error") or "")
    if state in ("", "created"):
        state, reason, remedy = "stopped", "Not started yet.", "Start it."
    elif state not in STATES:
        state, error = "failed", "damaged"
        reason, remedy = "Its status file is damaged.", "Resume it, or remove it."
    progress = files.read_object(directory / "progress.json")
    running = state == "running"
    started, ended = record.get("started"), record.get("ended")
    seconds = float(record.get("seconds_before") or 0)
    if started:
        seconds += max(0.0, (time.time() if running else ended or started) - started)
    return RunStatus(
        state=state,
        reason=reason,
        remedy=remedy,
        error=error,
        settings=dict(record.get("settings") or {}),
        epoch=len(files.history_rows(directory)) or int(progress.get("epoch") or 0),
        epochs=int(progress.get("epochs") or files.epochs_of(config)),
        pid=record["process"]["pid"] if running and not record.get("ending") else None,
        device=_device(config, record, progress),
        node=str(record.get("node") or ""),
        created=record.get("created"),
        queued=record.get("queued"),
        started=started,
        ended=None if running else ended,
        seconds=seconds,
        progress=progress,
    )


def _device(config: dict[str, Any], record: dict[str, Any], progress: dict[str, Any]) -> str:
    """The slot's device, unless the job says that it found no GPU there (`auto` without a GPU library)."""
    if record.get("started") and progress.get("device") == "cpu":
        return "cpu"
    return str(record.get("device") or config.get("device") or "")


def _waiting(
    waiting: queue.Row,
    listed: list[queue.Row],
    directory: Path,
    config: dict[str, Any],
    record: dict[str, Any],
) -> RunStatus:
    before = [row.run for row in listed if row.state == "queued"]
    position = before.index(waiting.run) + 1 if waiting.run in before else None
    if position is None:
        reason = "Starting."
    elif waiting.paused:
        reason = "Paused in the queue."
    elif queue.all_paused():
        reason = "The queue is paused."
    elif needed := [row.run for row in listed if row.run in files.built_on(config)]:
        reason = f"Waits for the run {needed[0]}, which it builds on."
    elif position == 1:
        reason = "Next in the queue: it starts as soon as its device is free."
    else:
        reason = f"Number {position} in the queue."
    paused = position is not None and ("aused" in reason)
    return RunStatus(
        state="queued",
        reason=reason,
        remedy="Continue it when it should start." if paused else "",
        epoch=len(files.history_rows(directory)),
        epochs=files.epochs_of(config),
        device=waiting.device,
        created=record.get("created"),
        queued=waiting.queued,
        seconds=float(record.get("seconds_before") or 0),
        position=position,
        paused=paused,
        held=position is not None and bool(waiting.paused),
    )


def _death(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    """How a trainer ended that could not say so itself and has no supervisor that saw it."""
    ended = _last_sign(directory, record)
    trainer = Identity.from_json(record.get("process"))
    if trainer is not None and same_boot(trainer.boot, boot_id()):
        reason = "The training process was ended from outside or crashed."
        return {"state": "killed", "reason": reason, "remedy": RESUME, "ended": ended}
    reason = "The computer was restarted while it ran."
    return {"state": "interrupted", "reason": reason, "remedy": RESUME, "ended": ended}


def _last_sign(directory: Path, record: dict[str, Any]) -> float:
    """When it last wrote something; better than the time at which somebody looked."""
    signs = [float(record.get("started") or 0)]
    for name in ("progress.json", "history.csv", "usage.json", "train.log"):
        with contextlib.suppress(OSError):
            signs.append((directory / name).stat().st_mtime)
    return max(signs)
