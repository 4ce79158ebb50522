"""Probable label errors, by confident learning (Northcutt et al. 2021) as cleanlab implements it.

A network that never saw an image and is sure of another class than the given one is evidence against the
label. Only out-of-sample answers count: of a run, the images it did not train on, nor copies of them; of
the folds of a k-fold, each image's answer from the run that validated on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError


@dataclass(frozen=True)
class LabelIssues:
    """Images by how doubtful their labels are, the most doubtful first.

    Attributes:
        indices: (M,) int64 indices into the data set: every image that was judged.
        given, suggested: (M,) uint8 labels; `suggested` is the class with the highest probability.
        quality: (M,) float in [0, 1]: the probability of the given label, cleanlab's self-confidence.
        probable: (M,) bool: cleanlab's estimate that the label is wrong.
    """

    indices: np.ndarray
    given: np.ndarray
    suggested: np.ndarray
    quality: np.ndarray
    probable: np.ndarray


def find_label_issues(dataset: Dataset, indices: np.ndarray, probabilities: np.ndarray) -> LabelIssues:
    """Rank `indices` by out-of-sample `probabilities` (M, 7).

    Raises:
        UserError: fewer than 20 images, or probabilities that are none.
    """
    from cleanlab.filter import find_label_issues as find
    from cleanlab.rank import get_label_quality_scores

    indices = np.asarray(indices, dtype=np.int64)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    _check(indices, probabilities)
    given = dataset.labels[indices].astype(np.int64)
    present = np.flatnonzero(np.bincount(given, minlength=len(EMOTIONS)))  # cleanlab wants no gaps
    position = np.searchsorted(present, given)
    part = probabilities[:, present] + 1e-9
    part /= part.sum(axis=1, keepdims=True)
    if len(present) < 2:
        raise UserError("All images have the same label, so no label can be doubted. Choose more images.")
    quality = get_label_quality_scores(position, part)
    probable = find(position, part, n_jobs=1)
    order = np.argsort(quality, kind="stable")
    return LabelIssues(
        indices=indices[order],
        given=given[order].astype(np.uint8),
        suggested=probabilities.argmax(axis=1)[order].astype(np.uint8),
        quality=quality[order],
        probable=np.asarray(probable)[order],
    )


def out_of_sample(dataset: Dataset, runs: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """(indices, (M, 7) probabilities) of the stored answers about images a run did not learn from.

    Args:
        dataset: which images.
        runs: one run, or the runs of a k-fold; an image judged by several gets their mean.

    Raises:
        UserError: no run has stored answers about images it did not train on.
    """
    from fer.evaluation.predictions import load_predictions
    from fer.evaluation.trained import trained_run

    total = np.zeros((len(dataset), len(EMOTIONS)))
    judges = np.zeros(len(dataset), dtype=np.int64)
    for entry in runs:
        network = trained_run(entry)
        stored = load_predictions(network, dataset.fingerprint)
        if stored is None:
            continue
        unseen = stored.indices[~np.isin(dataset.hashes[stored.indices], _learned(network))]
        answers = stored.of(unseen)
        if answers is not None:
            total[unseen] += answers
            judges[unseen] += 1
    indices = np.flatnonzero(judges)
    if len(indices) == 0:
        raise UserError(
            f"No chosen run has answers about images of {dataset.name!r} that it did not train on. "
            "Evaluate a finished run first, or train the folds of a k-fold."
        )
    return indices, total[indices] / judges[indices, None]


def _learned(network: Any) -> np.ndarray:
    """Pixel hashes of the images the run's weights were fitted to (not of those it only validated on)."""
    from fer.data.dataset import open_dataset

    if "train" not in network.splits:
        return network.hashes if network.hashes is not None else np.zeros(0, "V16")
    return open_dataset(network.fingerprint).hashes[network.splits["train"]]


def _check(indices: np.ndarray, probabilities: np.ndarray) -> None:
    if probabilities.shape != (len(indices), len(EMOTIONS)):
        raise UserError(
            f"The probabilities have shape {probabilities.shape}; expected ({len(indices)}, {len(EMOTIONS)})."
        )
    if len(indices) < 20:
        raise UserError(f"{len(indices)} images are too few to judge labels by; choose at least 20.")
    if not np.isfinite(probabilities).all() or probabilities.min() < 0:
        raise UserError("The probabilities hold negative or missing values; evaluate the run again.")
