"""How a run that failed says so: a sentence for a student, what to do next, and a word for buttons."""

import errno
import signal
import time
from pathlib import Path
from typing import Any

from fer import storage
from fer.errors import UserError
from fer.runs import files, queue, status
from fer.runs.run import Run

MEMORY_REASON = "It needed more memory than there is."
DISK_REMEDY = "Free some space, then resume it."
LOG_REMEDY = "The end of its log says more."
CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS")


def failed(reason: str, remedy: str, error: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Changes to the record; `settings` are changes to the config with which a retry may succeed."""
    return {"state": "failed", "reason": reason, "remedy": remedy, "error": error, "settings": settings or {}}


def out_of_memory(config: dict[str, Any], reason: str = MEMORY_REASON) -> dict[str, Any]:
    """Halve the batch, with the figure when the config has one."""
    batch = config.get("batch_size")
    if isinstance(batch, int) and batch > 1:
        remedy = f"Halve the batch size to {batch // 2} and start it again."
        return failed(reason, remedy, status.OUT_OF_MEMORY, {"batch_size": batch // 2})
    return failed(reason, "Halve the batch size and start it again.", status.OUT_OF_MEMORY)


def explain(error: BaseException, config: dict[str, Any]) -> dict[str, Any]:
    """What a job raised, as changes to the record.

    A `UserError` may carry `reason`, `remedy`, `kind` and `settings` (see `fer.training.errors`).
    """
    if isinstance(error, OSError):
        shown = storage.disk_error(error, Path(str(error.filename or "a file")))
        error = shown if isinstance(shown, UserError) else error
    if isinstance(error, UserError):
        text = str(getattr(error, "reason", "") or error)
        kind = str(getattr(error, "kind", "") or ("disk_full" if "disk is full" in text else "settings"))
        default = DISK_REMEDY if kind == "disk_full" else ""
        remedy = str(getattr(error, "remedy", "") or default)
        return failed(text, remedy, kind, getattr(error, "settings", None))
    if is_out_of_memory(error):
        return out_of_memory(config)
    lines = str(error).strip().splitlines()
    text = lines[0][:300] if lines else "no message"
    return failed(f"{type(error).__name__}: {text}", LOG_REMEDY, "exception")


def is_out_of_memory(error: BaseException) -> bool:
    """Python's, NumPy's, TensorFlow's, JAX's and PyTorch's ways to say that memory ran out."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError"):
        return True
    text = str(error)
    return any(sign in text for sign in ("RESOURCE_EXHAUSTED", "OOM when allocating", "CUDA out of memory"))


def explain_exit(code: int, oom_evidence: bool, config: dict[str, Any]) -> dict[str, Any]:
    """How a trainer ended that could not record it itself: by its exit code, negative for a signal."""
    changes: dict[str, Any] = {"exit_code": code}
    if code >= 0:
        reason = f"The training process ended unexpectedly with exit code {code}."
        return changes | failed(reason, LOG_REMEDY, "exit")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    changes["signal"] = name
    if name == "SIGKILL" and oom_evidence:
        return changes | out_of_memory(config, "The system ended it because the computer ran out of memory.")
    if name in CRASHES:
        return changes | failed(f"The training process crashed ({name}).", LOG_REMEDY, "crash")
    reason = f"The training process was ended from outside ({name})."
    return changes | {"state": "killed", "reason": reason, "remedy": status.RESUME}


def record_unstartable(run: Run, reason: str, error: str = "device") -> None:
    """Record that a waiting run cannot start at all, and take it out of the queue."""
    remedy = "Start a copy of it on another device." if error == "device" else LOG_REMEDY
    with queue.transaction() as connection:
        record = files.read_record(run.directory)
        row = queue.row(run.id, connection)
        if record.get("state") in ("running", "finished") or (row is not None and row.state == "running"):
            return
        queue.delete(connection, run.id)
        files.write_record(run.directory, record | failed(reason, remedy, error) | {"ended": time.time()})
