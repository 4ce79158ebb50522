"""Which images a generator learns from: the training part of its split, of its classes."""

from collections.abc import Sequence

import numpy as np

from fer.data.dataset import Dataset
from fer.data.splits import split_indices
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.generation.config import DiffusionConfig


def divide(
    dataset: Dataset, config: DiffusionConfig, classes: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """`{'train', 'validation', 'test'}`: ascending int64 indices of the images of `classes`.

    classes: by default the config's. The division is that of classifiers with the same split; the config's
    `limit` bounds train and validation.

    Raises:
        UserError: no image to learn from, or none to validate on.
    """
    chosen = config.classes if classes is None else classes
    kept = [EMOTIONS.index(name) for name in chosen]
    parts = split_indices(dataset, config.split)
    parts = {name: found[np.isin(dataset.labels[found], kept)] for name, found in parts.items()}
    random = np.random.default_rng([config.split.seed, 3])
    for name, verb in (("train", "learn from"), ("validation", "validate on")):
        if not len(parts[name]):
            names = ", ".join(chosen)
            raise UserError(f"{dataset.name!r} has no image of {names} to {verb}; choose another class.")
        if config.limit is not None:
            parts[name] = np.sort(random.permutation(parts[name])[: config.limit])
    return parts
