"""What a recipe is, and what several studies' recipes say in their notes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fer.emotions import EMOTIONS

CLEANED = (
    "The study trained on its cleaned split (22,508 images): choose a selection made on the Outliers page to "
    "do the same."
)
SHUFFLED = (
    "The study scored a shuffled, augmented stream, so the files it dropped were not the ones it had scored; "
    "here outliers are scored un-augmented and in file order."
)


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        name: what `python -m fer train` takes.
        study: A, B, C, D, or `ours`.
        title: one line for lists.
        tests: the question it answers.
        model: an entry of `fer.models.MODELS`.
        config_changes: what differs from `TrainConfig`'s defaults, as its arguments.
        reported: the study's test figures: `accuracy`, `macro_f1`, `balanced_accuracy`, `log_loss`,
            `kappa`, `per_class {class: {f1 | recall}}`, shares in [0, 1]; empty if there are none.
        parameters: as reported or counted; None where the study gives none.
        notes: what a reader of the figures must know.
    """

    name: str
    study: str
    title: str
    tests: str
    model: str
    config_changes: Mapping[str, Any] = field(default_factory=dict)
    reported: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    notes: tuple[str, ...] = ()


def per_class(measure: str, *values: float) -> dict[str, dict[str, float]]:
    """`{emotion: {measure: value}}`, values in the order of `EMOTIONS`."""
    return {emotion: {measure: value} for emotion, value in zip(EMOTIONS, values, strict=True)}
