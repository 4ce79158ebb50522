"""Which images are wrong: ranked for the gallery, wrong for every model, and by a property of the image."""

from typing import Any

import numpy as np

from fer.emotions import EMOTIONS
from fer.errors import UnknownName
from fer.evaluation.comparison import Comparison
from fer.evaluation.metrics import accuracy_interval

ORDERS = ("confidence", "loss", "disagreement")
SHOWN = ("wrong", "right", "all")


def ranked_images(
    comparison: Comparison,
    run: int = 0,
    shown: str = "wrong",
    order: str = "confidence",
    true: str | None = None,
    predicted: str | None = None,
) -> np.ndarray:
    """(M,) int64 positions in the comparison, the most telling image first.

    Args:
        run: number of the run that is judged.
        shown: `wrong`, `right` or `all` answers of that run.
        order: `confidence` of the run (its surest first), `loss` of the run, or `disagreement` of all.
        true, predicted: only these classes; None for all.
    """
    if order not in ORDERS:
        raise UnknownName("order", order, ORDERS)
    if shown not in SHOWN:
        raise UnknownName("choice of images", shown, SHOWN)
    chosen = np.ones(len(comparison), bool)
    if shown != "all":
        chosen &= comparison.correct[run] == (shown == "right")
    for name, values in ((true, comparison.labels), (predicted, comparison.predicted[run])):
        if name is not None:
            if name not in EMOTIONS:
                raise UnknownName("class", name, EMOTIONS)
            chosen &= values == EMOTIONS.index(name)
    by = {
        "confidence": comparison.confidence[run],
        "loss": comparison.loss[run],
        "disagreement": comparison.disagreement,
    }[order]
    positions = np.flatnonzero(chosen)
    return positions[np.argsort(-by[positions], kind="stable")]


def wrong_for_every_run(comparison: Comparison) -> np.ndarray:
    """(M,) int64 positions of the images no run gets right, the surest mistakes first."""
    positions = np.flatnonzero(~comparison.correct.any(axis=0))
    return positions[np.argsort(-comparison.confidence.mean(axis=0)[positions], kind="stable")]


def image_facts(comparison: Comparison, position: int) -> dict[str, Any]:
    """One image: `index, name, true, answers [{run, name, emotion, confidence, probabilities{class}}]`."""
    index = int(comparison.indices[position])
    answers = []
    for number, run in enumerate(comparison.runs):
        row = comparison.probabilities[number, position]
        answers.append(
            {
                "run": run.id,
                "name": run.name,
                "emotion": EMOTIONS[int(row.argmax())],
                "confidence": float(row.max()),
                "probabilities": {emotion: float(p) for emotion, p in zip(EMOTIONS, row, strict=True)},
            }
        )
    return {
        "index": index,
        "name": comparison.dataset.names[index],
        "true": EMOTIONS[int(comparison.labels[position])],
        "disagreement": float(comparison.disagreement[position]),
        "answers": answers,
    }


def accuracy_by(values: np.ndarray, correct: np.ndarray, bins: int = 10) -> list[dict[str, Any]]:
    """Accuracy against a property of the images (quality, outlier error) in bins of equally many images.

    Args:
        values: (N,) float; images without a finite value are left out.
        correct: (N,) bool.

    Returns:
        Per bin, ascending: `low, high` (of the values), `mean`, `images`, `accuracy`, `interval` (95 %).
    """
    values, correct = np.asarray(values, dtype=float), np.asarray(correct, dtype=bool)
    known = np.isfinite(values)
    values, correct = values[known], correct[known]
    order = np.argsort(values, kind="stable")
    rows = []
    for part in np.array_split(order, min(bins, max(len(order), 1))):
        if len(part):
            accuracy = float(correct[part].mean())
            rows.append(
                {
                    "low": float(values[part[0]]),
                    "high": float(values[part[-1]]),
                    "mean": float(values[part].mean()),
                    "images": len(part),
                    "accuracy": accuracy,
                    "interval": accuracy_interval(accuracy, len(part)),
                }
            )
    return rows


def agreement_counts(comparison: Comparison) -> dict[str, int]:
    """How many images how many runs get right: `{"0 of 3": n, …}`."""
    right = comparison.correct.sum(axis=0)
    runs = len(comparison.runs)
    return {f"{n} of {runs}": int((right == n).sum()) for n in range(runs + 1)}
