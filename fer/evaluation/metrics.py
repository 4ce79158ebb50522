"""The figures of one classifier on labelled images, as plain numbers that serialise to JSON.

Definitions are scikit-learn's; the tests compare them with it. Everything is computed from the labels
and the (N, 7) probabilities, so a run with fewer classes has zeros in the columns of the removed ones.
No TensorFlow here: the Compare page imports this.
"""

from typing import Any

import numpy as np

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.calibration import expected_calibration_error

CLASSES = len(EMOTIONS)
SMALLEST_PROBABILITY = 1e-7  # a class predicted impossible costs 16.1 nats, not infinity
BOOTSTRAP_SAMPLES = 10_000

# Headline metrics: key -> (title, whether a higher value is better).
HEADLINES: dict[str, tuple[str, bool]] = {
    "accuracy": ("Accuracy", True),
    "accuracy_without_leaks": ("Accuracy without leaked images", True),
    "balanced_accuracy": ("Balanced accuracy", True),
    "macro_f1": ("Macro F1", True),
    "weighted_f1": ("Weighted F1", True),
    "log_loss": ("Log loss", False),
    "kappa": ("Cohen's kappa", True),
    "ece": ("Expected calibration error", False),
}


def classification_report(
    labels: np.ndarray, probabilities: np.ndarray, leaked: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
    """All figures of one evaluation; not rounded.

    Args:
        labels: (N,) integer index into `EMOTIONS`.
        probabilities: (N, 7) float in [0, 1], rows sum to 1.
        leaked: (N,) bool, True where the image's pixels were trained or validated on; None when unknown.
        seed: of the bootstrap.

    Returns:
        `accuracy`, `accuracy_without_leaks` (None when unknown or when no image is left),
        `balanced_accuracy` (mean recall of the classes that occur), `macro_f1`, `weighted_f1`,
        `log_loss` (nats), `kappa` (Cohen), `ece` (15 bins), `per_class` `{class: {precision, recall, f1,
        support}}`, `confusion` (7 rows of true classes, 7 columns of predicted ones), `interval` (95 %
        bootstrap interval of the accuracy), `images` and `leaked` (count, None when unknown).

    Raises:
        UserError: no images, or shapes and values that do not fit.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted)
    accuracy = float(np.trace(confusion) / confusion.sum())
    clean = None if leaked is None else ~np.asarray(leaked, dtype=bool)
    return {
        "accuracy": accuracy,
        "accuracy_without_leaks": (
            None if clean is None or not clean.any() else float((predicted == labels)[clean].mean())
        ),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "weighted_f1": weighted_f1(confusion),
        "log_loss": log_loss(labels, probabilities),
        "kappa": cohen_kappa(confusion),
        "ece": expected_calibration_error(labels, probabilities),
        "per_class": per_class(confusion),
        "confusion": confusion.tolist(),
        "interval": accuracy_interval(accuracy, len(labels), seed=seed),
        "images": len(labels),
        "leaked": None if clean is None else int((~clean).sum()),
    }


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(7, 7) int64 counts: true classes in rows, predicted ones in columns."""
    cells = np.asarray(labels, dtype=np.int64) * CLASSES + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cells, minlength=CLASSES * CLASSES).reshape(CLASSES, CLASSES)


def per_class(confusion: np.ndarray) -> dict[str, dict[str, float]]:
    """`{class: {precision, recall, f1, support}}`; a figure without images behind it is 0."""
    precision, recall, f1, support = precision_recall_f1(confusion)
    return {
        emotion: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": int(support[i]),
        }
        for i, emotion in enumerate(EMOTIONS)
    }


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall, F1 and support per class from (..., 7, 7) counts, each (..., 7)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    predicted, support = confusion.sum(axis=-2), confusion.sum(axis=-1)
    return (
        _ratio(hits, predicted),
        _ratio(hits, support),
        _ratio(2 * hits, predicted + support),
        support,
    )


def balanced_accuracy(confusion: np.ndarray) -> Any:
    """Mean recall over the classes that occur; vectorised over leading axes of `confusion`."""
    _, recall, _, support = precision_recall_f1(confusion)
    return _scalar(_ratio(recall.sum(axis=-1), (support > 0).sum(axis=-1)))


def macro_f1(confusion: np.ndarray) -> Any:
    """Unweighted mean F1 over the classes that occur or are predicted, as scikit-learn takes it."""
    _, _, f1, support = precision_recall_f1(confusion)
    seen = (support + confusion.sum(axis=-2)) > 0
    return _scalar(_ratio(f1.sum(axis=-1), seen.sum(axis=-1)))


def weighted_f1(confusion: np.ndarray) -> Any:
    """Mean F1 weighted by support."""
    _, _, f1, support = precision_recall_f1(confusion)
    return _scalar(_ratio((f1 * support).sum(axis=-1), support.sum(axis=-1)))


def accuracy(confusion: np.ndarray) -> Any:
    """Share of the diagonal; vectorised over leading axes of `confusion`."""
    return _scalar(
        _ratio(np.trace(confusion, axis1=-2, axis2=-1).astype(float), confusion.sum(axis=(-2, -1)))
    )


def cohen_kappa(confusion: np.ndarray) -> float:
    """Cohen's kappa (1960): agreement beyond that of the two marginals; 0 when undefined."""
    share = confusion / confusion.sum()
    expected = float(share.sum(axis=0) @ share.sum(axis=1))
    if expected >= 1:
        return 0.0
    return float((np.trace(share) - expected) / (1 - expected))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log probability of the true class, in nats, clipped at `SMALLEST_PROBABILITY`."""
    true = np.asarray(probabilities, dtype=float)[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(true, SMALLEST_PROBABILITY, 1)).mean())


def accuracy_interval(accuracy: float, images: int, level: float = 0.95, seed: int = 0) -> list[float]:
    """Percentile bootstrap interval of an accuracy, `[low, high]`.

    Resampling N images with replacement and counting the correct ones is a binomial draw, so the
    bootstrap needs only N and the accuracy.
    """
    draws = np.random.default_rng(seed).binomial(images, min(max(accuracy, 0), 1), BOOTSTRAP_SAMPLES)
    low, high = np.quantile(draws / images, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def check_predictions(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`labels` as int64 and `probabilities` as float64, or `UserError` with what does not fit."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    if len(labels) == 0:
        raise UserError("There are no images to evaluate; choose a split or data set that has some.")
    if probabilities.shape != (len(labels), CLASSES):
        raise UserError(
            f"Probabilities have shape {probabilities.shape}; expected ({len(labels)}, {CLASSES})."
        )
    if not np.isfinite(probabilities).all():
        raise UserError(
            f"{int((~np.isfinite(probabilities)).any(axis=1).sum())} of {len(labels)} predictions are not "
            "numbers: the training diverged. Train again with a lower learning rate."
        )
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise UserError(f"Labels reach from {labels.min()} to {labels.max()}; expected 0 to {CLASSES - 1}.")
    return labels.astype(np.int64), probabilities


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def _scalar(value: np.ndarray) -> Any:
    return float(value) if np.ndim(value) == 0 else value
