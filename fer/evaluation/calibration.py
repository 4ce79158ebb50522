"""Whether the probabilities mean what they say, and temperature scaling when they do not.

Guo et al. 2017, "On Calibration of Modern Neural Networks": expected calibration error with 15 bins of
equal width, reliability diagrams, and one temperature fitted on the validation split.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fer.errors import UserError

BINS = 15
SMALLEST = 1e-7
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram; every array has one entry per bin, None where the bin is empty.

    Attributes:
        edges: bins + 1 confidences from 0 to 1.
        images: how many predictions fall into each bin.
        confidence: mean confidence of the bin.
        accuracy: share of correct predictions in the bin.
        ece: expected calibration error over all bins.
    """

    edges: list[float]
    images: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]
    ece: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Reliability:
    """Confidence against accuracy in `bins` bins of equal width; a bin includes its upper edge.

    Args:
        labels: (N,) int.
        probabilities: (N, K) float in [0, 1].
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    safe = np.maximum(images, 1)
    mean_confidence = np.bincount(place, confidence, minlength=bins) / safe
    accuracy = np.bincount(place, correct, minlength=bins) / safe
    ece = float((images * np.abs(accuracy - mean_confidence)).sum() / max(len(labels), 1))
    return Reliability(
        edges=edges.tolist(),
        images=images.tolist(),
        confidence=[float(c) if n else None for c, n in zip(mean_confidence, images, strict=True)],
        accuracy=[float(a) if n else None for a, n in zip(accuracy, images, strict=True)],
        ece=ece,
    )


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Mean of |accuracy − confidence| over the bins, weighted by their images; in [0, 1]."""
    return reliability(labels, probabilities, bins).ece


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature T in [0.05, 20] with the lowest log loss of `apply_temperature(probabilities, T)`.

    Fit it on the validation split and apply it to the test split. T > 1 means overconfident.

    Raises:
        UserError: there are no images to fit on.
    """
    from scipy.optimize import minimize_scalar

    labels = np.asarray(labels)
    if len(labels) == 0:
        raise UserError("Temperature scaling needs validation images, and this run has none.")
    logits, active = _logits(probabilities)
    column = np.cumsum(active) - 1  # of a class among the active ones
    known = active[labels]
    logits, columns = logits[known], column[labels[known]]
    if not known.any():
        raise UserError("No validation image is of a class that this run knows.")

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((_log_sum_exp(scaled) - scaled[np.arange(len(columns)), columns]).mean())

    bounds = tuple(np.log(TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(N, K) float64 softmax(log p / T); the predicted class stays, columns of removed classes stay 0."""
    if not temperature > 0:
        raise UserError(f"A temperature of {temperature} cannot be used; it must be above 0.")
    logits, active = _logits(probabilities)
    scaled = logits / temperature
    result = np.zeros(np.shape(probabilities))
    result[:, active] = np.exp(scaled - _log_sum_exp(scaled)[:, None])
    return result


def _logits(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the classes the model knows, and which these are: (N, A) float and (K,) bool."""
    probabilities = np.asarray(probabilities, dtype=float)
    active = np.asarray((probabilities > 0).any(axis=0))
    return np.log(np.clip(probabilities[:, active], SMALLEST, 1)), active


def _log_sum_exp(logits: np.ndarray) -> np.ndarray:
    highest = logits.max(axis=1)
    return highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
