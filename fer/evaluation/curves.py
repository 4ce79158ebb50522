"""Points of the curves that the Compare page draws: training history, ROC, precision-recall."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.protocol import chosen_epoch
from fer.evaluation.trained import trained_run

POINTS = 200  # per curve: more cannot be told apart on a screen


def smoothed(values: Sequence[float], smoothing: float) -> list[float]:
    """Exponential moving average, corrected for its start; `smoothing` in [0, 1), 0 for none."""
    if not 0 <= smoothing < 1:
        raise UserError(f"The smoothing is {smoothing:g}; give a number from 0 to below 1.")
    result, mean, weight = [], 0.0, 0.0
    for value in values:
        if np.isfinite(value):
            mean = smoothing * mean + (1 - smoothing) * value
            weight = smoothing * weight + (1 - smoothing)
        result.append(mean / weight if weight else float("nan"))
    return result


def training_curve(run: Any, column: str, smoothing: float = 0.0) -> dict[str, Any]:
    """`epochs, values` of one column of the history, and `chosen`: epoch and value of the checkpoint kept."""
    run = trained_run(run)
    rows = [row for row in run.history if isinstance(row.get(column), float)]
    best = chosen_epoch(run)
    return {
        "run": run.id,
        "name": run.name,
        "epochs": [int(row["epoch"]) for row in rows],
        "values": smoothed([row[column] for row in rows], smoothing),
        "chosen": {"epoch": int(best["epoch"]), "value": best[column]} if best and column in best else None,
    }


def roc(labels: np.ndarray, probabilities: np.ndarray, emotion: str) -> dict[str, Any]:
    """One class against the rest: `false_positive_rate, true_positive_rate, auc`.

    Raises:
        UserError: no image of the class, or none of the others.
    """
    from sklearn.metrics import auc, roc_curve

    truth, score = _one_against_rest(labels, probabilities, emotion)
    false_rate, true_rate, _ = roc_curve(truth, score)
    kept = _thinned(len(false_rate))
    return {
        "false_positive_rate": false_rate[kept].tolist(),
        "true_positive_rate": true_rate[kept].tolist(),
        "auc": float(auc(false_rate, true_rate)),
    }


def precision_recall(labels: np.ndarray, probabilities: np.ndarray, emotion: str) -> dict[str, Any]:
    """One class against the rest: `recall, precision, average_precision, share` (of the class)."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    truth, score = _one_against_rest(labels, probabilities, emotion)
    precision, recall, _ = precision_recall_curve(truth, score)
    kept = _thinned(len(precision))
    return {
        "recall": recall[kept].tolist(),
        "precision": precision[kept].tolist(),
        "average_precision": float(average_precision_score(truth, score)),
        "share": float(truth.mean()),
    }


def _one_against_rest(
    labels: np.ndarray, probabilities: np.ndarray, emotion: str
) -> tuple[np.ndarray, np.ndarray]:
    place = EMOTIONS.index(emotion)
    truth = np.asarray(labels) == place
    if truth.all() or not truth.any():
        raise UserError(
            f"There {'are only' if truth.all() else 'are no'} images of {emotion} here; no curve."
        )
    return truth, np.asarray(probabilities)[:, place]


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int))
