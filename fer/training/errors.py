"""Why a training failed, each with what to do next; the Runs page offers `settings` as a button."""

from typing import Any

from fer.errors import UserError


class TrainingError(UserError):
    """A training that cannot go on.

    Attributes:
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

    kind = "out of memory"


class NotANumber(TrainingError):
    """The loss is not a finite number any more."""

    kind = "not a number"


class DataError(TrainingError):
    """The data set is gone, damaged, or leaves nothing to train on."""

    kind = "data"


class DiskFull(TrainingError):
    """A checkpoint could not be written; the one before it is unharmed."""

    kind = "disk full"


class DeviceError(TrainingError):
    """The device that was asked for cannot be used."""

    kind = "device"
