"""Why a training failed, each with what to do next; the Runs page offers `settings` as a button."""

import errno
from typing import Any

from fer.errors import UserError

_MEMORY_TYPES = ("ResourceExhaustedError", "OutOfMemoryError")
_MEMORY_SIGNS = ("RESOURCE_EXHAUSTED", "OOM when allocating", "out of memory", "CUDA_ERROR_OUT_OF_MEMORY")
_DISK_SIGNS = ("No space left", "errno = 28", "errno = 122")


class TrainingError(UserError):
    """A training that cannot go on.

    Attributes:
        kind: a word for buttons and filters.
        reason: what happened, one sentence.
        remedy: what to do, one sentence.
        settings: changes, for `with_settings`, with which a retry is likely to work; may be empty.
    """

    kind = "failed"

    def __init__(self, reason: str, remedy: str, settings: dict[str, Any] | None = None):
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy
        self.settings = settings or {}


class OutOfMemory(TrainingError):
    """The device or the machine has too little memory for one step."""

    kind = "out_of_memory"


class NotANumber(TrainingError):
    """The loss is not a finite number any more."""

    kind = "not_a_number"


class DataError(TrainingError):
    """The data set is gone, damaged, or leaves nothing to train on."""

    kind = "data"


class DiskFull(TrainingError):
    """A checkpoint could not be written; the one before it is unharmed."""

    kind = "disk_full"


class DeviceError(TrainingError):
    """The device that was asked for cannot be used."""

    kind = "device"


def explain(error: BaseException, batch_size: int) -> BaseException:
    """`error` as one of the types above if it is one of theirs, else as it is.

    Knows memory errors of Python, NumPy, TensorFlow, JAX and PyTorch, and full disks also where h5py or
    zipfile hides the number.
    """
    chain = [error, *(e for e in (error.__cause__, error.__context__) if e is not None)]
    if isinstance(error, TrainingError):
        return error
    if any(isinstance(e, MemoryError) or type(e).__name__ in _MEMORY_TYPES for e in chain) or any(
        sign in str(error) for sign in _MEMORY_SIGNS
    ):
        half = max(batch_size // 2, 1)
        return OutOfMemory(
            f"One step with {batch_size} images needs more memory than there is.",
            f"Halve the batch size to {half}." if batch_size > 1 else "Choose a smaller model.",
            {"batch_size": half} if batch_size > 1 else {},
        )
    if any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in chain) or (
        isinstance(error, OSError) and any(sign in str(error) for sign in _DISK_SIGNS)
    ):
        return DiskFull(
            f"The disk is full ({_short(error)}); the checkpoint before is unharmed.",
            "Free some space, then resume the run.",
        )
    return error


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
