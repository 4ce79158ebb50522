"""Counts, class weights, pixel statistics and mean faces of a data set, computed once per content.

Everything about pixel values follows exactly from histograms of the 256 grey levels, so the full data
set is read once and nothing is rounded.
"""

from typing import Any

import numpy as np

from fer import storage
from fer.data.dataset import SPLITS, Dataset
from fer.data.splits import SplitConfig, split_indices
from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UserError

VERSION = 1
_CHUNK = 2048
_EXACT = 256  # images whose squared pixels add up below 2**24, where float32 is exact


def statistics(dataset: Dataset) -> dict[str, Any]:
    """The numbers of the Explore page and `fer statistics`, cached under the fingerprint.

    Returns:
        `images`, `counts{split{class}}`, `pixels{split{mean,std,min,max,pixels,missing}}` with pixel values
        divided by 255, `histogram{split[256]}`, `class_weights{class}` balanced over the training part of
        the 80/20 split (what a run trains on by default), `class_weights_train{class}` over all of train,
        and `split_80_20` with `counts` and `pixels` of that split. A class without images has weight None.
        Pixels are stored as whole numbers, so `missing` is 0: what lacks pixels is quarantined at import.
    """
    path = dataset.derived("statistics.json")
    if path.exists():
        stored = storage.read_json(path)
        if stored.get("version") == VERSION:
            return stored
    result = {"version": VERSION, **_compute(dataset)}
    storage.write_json(path, result)
    return result


def pixel_counts(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(256,) int64: how often each grey level occurs in `rows` (M,) of (N, 48, 48) uint8 images."""
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(rows), _CHUNK):
        counts += np.bincount(np.ravel(images[rows[start : start + _CHUNK]]), minlength=256)
    return counts


def summary(counts: np.ndarray) -> dict[str, Any]:
    """`{mean, std, min, max, pixels, missing}` of pixel values / 255 from a (256,) histogram."""
    total = int(counts.sum())
    if total == 0:
        return {"mean": None, "std": None, "min": None, "max": None, "pixels": 0, "missing": 0}
    levels = np.arange(256) / 255
    mean = float((counts * levels).sum() / total)
    used = np.flatnonzero(counts)
    return {
        "mean": mean,
        "std": float(np.sqrt((counts * (levels - mean) ** 2).sum() / total)),
        "min": float(levels[used[0]]),
        "max": float(levels[used[-1]]),
        "pixels": total,
        "missing": 0,
    }


def class_weights(counts: dict[str, int]) -> dict[str, float | None]:
    """Balanced weights N / (K n_c) over the K classes that have images; None for one that has none.

    This is scikit-learn's `balanced` (King and Zeng 2001): each class weighs the same in the loss.
    """
    total, present = sum(counts.values()), sum(n > 0 for n in counts.values())
    return {name: total / (present * n) if n else None for name, n in counts.items()}


def class_faces(dataset: Dataset, split: str = "train") -> dict[str, np.ndarray]:
    """Mean and standard deviation of each pixel per class, cached.

    Returns:
        `mean` and `std`: (7, 48, 48) float32 in [0, 255], NaN for a class without images in `split`;
        `counts`: (7,) int64.
    """
    indices = dataset.indices(split)
    path = dataset.derived(f"faces-{split}-{VERSION}.npz")
    if path.exists():
        with np.load(path) as stored:
            return dict(stored)
    shape = (len(EMOTIONS), IMAGE_SIZE * IMAGE_SIZE)
    total, squares, counts = np.zeros(shape), np.zeros(shape), np.zeros(len(EMOTIONS), np.int64)
    for start in range(0, len(indices), _EXACT):
        chunk = indices[start : start + _EXACT]
        pixels = dataset.images[chunk].reshape(len(chunk), -1).astype(np.float32)
        membership = (dataset.labels[chunk] == np.arange(len(EMOTIONS))[:, None]).astype(np.float32)
        total += membership @ pixels
        squares += membership @ (pixels * pixels)
        counts += membership.sum(axis=1).astype(np.int64)
    divisor = np.where(counts, counts, np.nan)[:, None]
    mean = total / divisor
    std = np.sqrt(np.maximum(squares / divisor - mean * mean, 0))
    faces: dict[str, np.ndarray] = {
        "mean": mean.reshape(-1, IMAGE_SIZE, IMAGE_SIZE).astype(np.float32),
        "std": std.reshape(-1, IMAGE_SIZE, IMAGE_SIZE).astype(np.float32),
        "counts": counts,
    }
    with storage.replacing(path) as temporary:
        np.savez(temporary, **faces)  # type: ignore[arg-type]
    return faces


def _compute(dataset: Dataset) -> dict[str, Any]:
    counts = dataset.counts()
    parts = _parts_80_20(dataset)
    histograms = {part: pixel_counts(dataset.images, indices) for part, indices in parts.items()}
    if dataset.indices("validation").size or "validation" not in parts:
        whole = {split: pixel_counts(dataset.images, dataset.indices(split)) for split in counts}
    else:  # the 80/20 split only divides train, so its parts add up to it
        whole = {"train": histograms["train"] + histograms["validation"], "test": histograms["test"]}
        whole = {split: whole[split] for split in counts}
    part_counts = {part: _count(dataset, indices) for part, indices in parts.items()}
    return {
        "images": len(dataset),
        "counts": counts,
        "class_weights": class_weights(part_counts["train"]) if "train" in part_counts else {},
        "class_weights_train": class_weights(counts["train"]) if "train" in counts else {},
        "pixels": {split: summary(histogram) for split, histogram in whole.items()},
        "histogram": {split: histogram.tolist() for split, histogram in whole.items()},
        "split_80_20": {
            "counts": part_counts,
            "pixels": {part: summary(histogram) for part, histogram in histograms.items()},
        },
    }


def _parts_80_20(dataset: Dataset) -> dict[str, np.ndarray]:
    """The default split where the data set can be trained on, else its test images alone."""
    try:
        return split_indices(dataset, SplitConfig())
    except UserError:
        parts = {split: dataset.indices(split) for split in SPLITS}
        return {split: indices for split, indices in parts.items() if len(indices)}


def _count(dataset: Dataset, indices: np.ndarray) -> dict[str, int]:
    per_class = np.bincount(dataset.labels[indices], minlength=len(EMOTIONS))
    return {emotion: int(n) for emotion, n in zip(EMOTIONS, per_class, strict=True)}


def _taken(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    return dataset.images[indices]
