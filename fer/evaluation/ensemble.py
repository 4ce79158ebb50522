"""Ensembles of stored predictions: the plain average, and weights fitted on the validation split."""

from typing import Any

import numpy as np

from fer.errors import UserError
from fer.evaluation.comparison import Comparison, compare
from fer.evaluation.metrics import SMALLEST_PROBABILITY, classification_report

FEWEST_VALIDATION_IMAGES = 50
ROUNDS = 500


def average(probabilities: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(N, 7) weighted mean of (R, N, 7) probabilities; weights (R,) ≥ 0 are scaled to sum 1."""
    probabilities = np.asarray(probabilities, dtype=float)
    weights = np.ones(len(probabilities)) if weights is None else np.asarray(weights, dtype=float)
    if weights.shape != (len(probabilities),) or (weights < 0).any() or weights.sum() == 0:
        raise UserError(
            f"The weights {np.round(weights, 3).tolist()} do not fit {len(probabilities)} runs; "
            "give one number of at least 0 for each, not all 0."
        )
    return np.tensordot(weights / weights.sum(), probabilities, axes=1)


def fit_weights(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(R,) weights, sum 1, with the lowest log loss of the weighted average on these images.

    Expectation maximisation for mixture weights: the problem is convex, so it finds the optimum.

    Args:
        labels: (N,) int, of images no run trained on.
        probabilities: (R, N, 7).
    """
    true = np.clip(probabilities[:, np.arange(len(labels)), labels].astype(float), SMALLEST_PROBABILITY, 1)
    weights = np.full(len(true), 1 / len(true))
    for _ in range(ROUNDS):
        shares = weights[:, None] * true
        updated = (shares / shares.sum(axis=0)).mean(axis=1)
        if np.abs(updated - weights).max() < 1e-7:
            return updated
        weights = updated
    return weights


def ensemble_reports(comparison: Comparison) -> dict[str, Any]:
    """Scores of the ensemble of all runs in the comparison.

    Returns:
        `average`: a `classification_report`; `weighted`: one or None; `weights` `{run: weight}` or None;
        `reason`: why there are no fitted weights, '' when there are.
    """
    leaked = _leaked(comparison)
    result: dict[str, Any] = {
        "average": classification_report(comparison.labels, average(comparison.probabilities), leaked),
        "weighted": None,
        "weights": None,
        "reason": "",
    }
    try:
        weights = validation_weights(comparison)
    except UserError as error:
        return result | {"reason": str(error)}
    weighted = classification_report(comparison.labels, average(comparison.probabilities, weights), leaked)
    named = {run.id: float(weight) for run, weight in zip(comparison.runs, weights, strict=True)}
    return result | {"weighted": weighted, "weights": named}


def validation_weights(comparison: Comparison) -> np.ndarray:
    """(R,) weights fitted on the images that every run validates on, so that none trained on them.

    Raises:
        UserError: the runs share too few validation images, or are not evaluated on them.
    """
    own = compare(comparison.runs, None, "validation")
    if len(own) < FEWEST_VALIDATION_IMAGES:
        raise UserError(
            f"The runs share {len(own)} validation images; fitting weights needs {FEWEST_VALIDATION_IMAGES}. "
            "Train them with the same split."
        )
    return fit_weights(own.labels, own.probabilities)


def _leaked(comparison: Comparison) -> np.ndarray | None:
    """An image is leaked for the ensemble if any member saw it."""
    masks = [run.leaked(comparison.dataset, comparison.indices, comparison.split) for run in comparison.runs]
    known = [mask for mask in masks if mask is not None]
    return np.any(known, axis=0) if len(known) == len(masks) else None
