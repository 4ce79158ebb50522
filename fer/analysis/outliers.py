"""Images unlike the others: scores of four detectors, a percentile threshold, and where they agree.

    autoencoder       study A: mean squared error of the reconstruction by a network with a narrow middle
    code distance     the same network: how unusual its code of the image is (Denouden et al. 2018)
    pca               the same with the best linear reconstruction (64 principal components)
    isolation forest  how few random cuts separate an image from the others (Liu et al. 2008), on its 32
                      first components and four quality measures

Detectors are fitted on train and score every image of the data set, un-augmented and in file order, once;
moving the threshold computes nothing but a percentile. This module reads and compares stored scores and
imports no TensorFlow; `outlier_training` computes them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fer import storage
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError

VERSION = 1
DETECTORS: tuple[str, ...] = ("autoencoder", "code distance", "pca", "isolation forest")
RECONSTRUCTED = ("autoencoder", "code distance")  # detectors whose network also draws what it saw
DEFAULT_PERCENTILE = 98.0
LOWEST_PERCENTILE, HIGHEST_PERCENTILE = 90.0, 99.9


@dataclass(frozen=True)
class Scores:
    """What a detector says about every image of a data set.

    Attributes:
        detector: one of `DETECTORS`.
        errors: (N,) float32 in the order of the data set; higher is stranger. For autoencoder and pca the
            mean squared error of pixels in [0, 1].
        facts: `parameters`, `epochs`, `seconds` and the like, for people.
    """

    detector: str
    errors: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flagged:
    """The images above a percentile of the errors.

    Attributes:
        percentile: asked for.
        threshold: the error at it; flagged images are above.
        flagged: (F,) int64 indices into the data set, the strangest first.
        kept: (K,) int64 indices into the data set, the strangest first.
        per_class: `{emotion: (flagged, of)}`.
    """

    percentile: float
    threshold: float
    flagged: np.ndarray
    kept: np.ndarray
    per_class: dict[str, tuple[int, int]]


def load_scores(dataset: Dataset, detector: str = "autoencoder") -> Scores | None:
    """Stored scores; None when this detector has not been run on the data set."""
    path = scores_path(dataset, detector)
    if not path.exists():
        return None
    with np.load(path) as stored:
        errors = stored["errors"]
    return Scores(detector, errors, storage.read_json(path.with_suffix(".json")))


def save_scores(dataset: Dataset, scores: Scores) -> None:
    """Store scores under the fingerprint of `dataset`."""
    path = scores_path(dataset, scores.detector)
    storage.write_json(path.with_suffix(".json"), scores.facts)
    with storage.replacing(path) as temporary:
        np.savez(temporary, errors=scores.errors.astype(np.float32))


def flag(
    dataset: Dataset,
    scores: Scores,
    percentile: float = DEFAULT_PERCENTILE,
    indices: np.ndarray | None = None,
) -> Flagged:
    """Divide `indices` (all of train by default) at a percentile of their errors.

    Raises:
        UserError: the percentile is outside 90 to 99.9, or there are no images to divide.
    """
    percentile = checked_percentile(percentile)
    chosen = dataset.indices("train") if indices is None else np.asarray(indices, dtype=np.int64)
    if len(chosen) == 0:
        raise UserError(f"{dataset.name!r} has no training images to look for outliers in.")
    errors = scores.errors[chosen]
    threshold = float(np.percentile(errors.astype(np.float64), percentile))
    order = chosen[np.argsort(-errors, kind="stable")]
    above = scores.errors[order] > threshold
    flagged, labels = order[above], dataset.labels
    of = np.bincount(labels[chosen], minlength=len(EMOTIONS))
    out = np.bincount(labels[flagged], minlength=len(EMOTIONS))
    per_class = {name: (int(out[label]), int(of[label])) for label, name in enumerate(EMOTIONS)}
    return Flagged(percentile, threshold, flagged, order[~above], per_class)


def overlap(
    dataset: Dataset, percentile: float = DEFAULT_PERCENTILE, indices: np.ndarray | None = None
) -> dict[str, dict[str, int]]:
    """`{a: {b: images flagged by both}}` for the detectors that were run; the diagonal is each one's own."""
    flagged = {}
    for detector in DETECTORS:
        scores = load_scores(dataset, detector)
        if scores is not None:
            flagged[detector] = set(flag(dataset, scores, percentile, indices).flagged.tolist())
    return {a: {b: len(mine & other) for b, other in flagged.items()} for a, mine in flagged.items()}


def reconstructions(dataset: Dataset) -> np.ndarray | None:
    """(N, 48, 48) uint8, memory-mapped: what the autoencoder made of each image; None before it ran."""
    path = reconstructions_path(dataset)
    return np.load(path, mmap_mode="r") if path.exists() else None


def error_map(image: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """(48, 48) float32 in [0, 1]: squared difference of two uint8 images of pixels in [0, 1]."""
    return np.square((image.astype(np.float32) - reconstruction) / 255)


def checked_percentile(percentile: float) -> float:
    """`percentile` if it is a number from 90 to 99.9."""
    good = isinstance(percentile, int | float) and not isinstance(percentile, bool)
    if not good or not LOWEST_PERCENTILE <= percentile <= HIGHEST_PERCENTILE:
        raise UserError(
            f"The percentile is {percentile!r}; give a number from {LOWEST_PERCENTILE:g} "
            f"to {HIGHEST_PERCENTILE:g}."
        )
    return float(percentile)


def scores_path(dataset: Dataset, detector: str) -> Path:
    """Where scores are stored; also checks the detector's name."""
    if detector not in DETECTORS:
        raise UnknownName("detector", detector, DETECTORS)
    return dataset.derived("outliers", f"{detector.replace(' ', '-')}-{VERSION}.npz")


def reconstructions_path(dataset: Dataset) -> Path:
    """Where the autoencoder's pictures are stored."""
    return dataset.derived("outliers", f"reconstructions-{VERSION}.npy")
