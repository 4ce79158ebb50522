"""Learning rates by position in a phase, and the two rules that watch a validation figure.

Pure functions and small dataclasses without keras: the Train page draws them, the state file stores them.
"""

import math
from dataclasses import dataclass

from fer.training.phase import Phase

ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1e-4  # Smith & Topin 2018, as PyTorch has it
PLATEAU_DELTA = 1e-4  # an improvement smaller than this counts as none, as in Keras


def learning_rate(phase: Phase, position: float, scale: float = 1.0) -> float:
    """The rate at `position`, in epochs since the phase began, in [0, epochs].

    scale: product of the plateau factors so far, for schedule `plateau`.
    """
    low = phase.minimum_learning_rate
    if phase.schedule == "onecycle":
        return max(phase.learning_rate * _one_cycle(position / phase.epochs), low)
    if position < phase.warmup_epochs:
        return phase.learning_rate * max(position, 0.0) / phase.warmup_epochs
    if phase.schedule == "cosine":
        length = phase.epochs - phase.warmup_epochs
        progress = min((position - phase.warmup_epochs) / length, 1.0) if length > 0 else 0.0
        return low + (phase.learning_rate - low) * (1 + math.cos(math.pi * progress)) / 2
    if phase.schedule == "plateau":
        return max(phase.learning_rate * scale, low)
    return phase.learning_rate


def step_rate(phase: Phase, epoch: int, step: int, steps: int, scale: float = 1.0) -> float:
    """The rate of step `step` of `steps` (from 0) in the phase's epoch `epoch` (from 0).

    Taken at the middle of the step, so that neither a warm-up's first nor a cosine's last step is zero.
    """
    return learning_rate(phase, epoch + (step + 0.5) / steps, scale)


@dataclass
class Watch:
    """Counts epochs in which a monitored figure did not improve.

    best: the best value so far, None before the first. wait: epochs since.
    """

    best: float | None = None
    wait: int = 0

    def improved(self, value: float, monitor: str, delta: float = 0.0) -> bool:
        """Record `value`; True if it beats the best by more than `delta`. NaN never does."""
        higher = monitor != "val_loss"
        if math.isnan(value):
            better = False
        elif self.best is None:
            better = True
        else:
            better = value > self.best + delta if higher else value < self.best - delta
        if better:
            self.best, self.wait = value, 0
        else:
            self.wait += 1
        return better


@dataclass
class Plateau:
    """`ReduceLROnPlateau`: after `patience` epochs without improvement the rate is multiplied."""

    watch: Watch
    scale: float = 1.0

    def update(self, phase: Phase, value: float) -> None:
        """Record an epoch's figure and lower the rate if it is time."""
        if phase.schedule != "plateau" or self.watch.improved(value, phase.plateau_monitor, PLATEAU_DELTA):
            return
        if self.watch.wait >= phase.plateau_patience:
            self.scale *= phase.plateau_factor
            self.watch.wait = 0


def _one_cycle(progress: float) -> float:
    if progress < ONE_CYCLE_RISE:
        return _between(ONE_CYCLE_START, 1.0, progress / ONE_CYCLE_RISE)
    return _between(1.0, ONE_CYCLE_END, (progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def _between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
