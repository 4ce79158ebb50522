"""A watermark score: how much an image looks as if a stock photo site had stamped it.

The score is the answer (a logit, higher is likelier) of a network of 9,937 weights that was trained on
faces with and without drawn stamps, see `watermark_training`:

    48×48×1   grey levels minus their mean, divided by their deviation + 8
    44×44×12  Conv 5×5, ReLU → max-pool 2
    20×20×24  Conv 3×3, ReLU → max-pool 2
     8×8×32   Conv 3×3, ReLU → global maximum and mean (64) → linear

It runs in NumPy, so that the page that shows it needs no TensorFlow, and once per data set.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from fer import storage
from fer.data.dataset import Dataset

VERSION = 1
WEIGHTS = Path(__file__).with_name("watermarks.npz")
_CHUNK = 128

Progress = Callable[[float, str], None]


def watermark_scores(dataset: Dataset, progress: Progress | None = None) -> np.ndarray:
    """(N,) float32 score of each image, cached under the fingerprint."""
    stored = stored_scores(dataset)
    if stored is not None:
        return stored
    scores = score(dataset.images, progress)
    with storage.replacing(_path(dataset)) as temporary:
        np.save(temporary, scores)
    return scores


def stored_scores(dataset: Dataset) -> np.ndarray | None:
    """(N,) float32 scores if they were computed before, else None; never computes."""
    path = _path(dataset)
    return np.load(path) if path.exists() else None


def score(images: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """(N,) float32 logits for (N, 48, 48) uint8 images."""
    weights = _weights()
    result = np.empty(len(images), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        x = normalised(np.asarray(images[start : start + _CHUNK]))[..., None]
        x = _pool(_convolve(x, weights, "conv1"))
        x = _pool(_convolve(x, weights, "conv2"))
        x = _convolve(x, weights, "conv3")
        pooled = np.concatenate([x.max(axis=(1, 2)), x.mean(axis=(1, 2))], axis=1)
        result[start : start + len(x)] = (pooled @ weights["output"] + weights["output_bias"])[:, 0]
        if progress:
            done = min(start + _CHUNK, len(images))
            progress(done / len(images), f"Looked at {done:,} of {len(images):,} images")
    return result


def normalised(images: np.ndarray) -> np.ndarray:
    """(N, 48, 48) float32: grey levels minus their mean, divided by their standard deviation + 8."""
    pixels = images.astype(np.float32)
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    return (pixels - mean) / (pixels.std(axis=(1, 2), keepdims=True) + 8)


def _convolve(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Valid convolution and ReLU: (N, H, W, C) to (N, H - k + 1, W - k + 1, F)."""
    kernel = weights[name]
    size, _, channels, filters = kernel.shape
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    y = columns @ kernel.reshape(-1, filters) + weights[f"{name}_bias"]
    return np.maximum(y, 0).reshape(*windows.shape[:3], filters)


def _pool(x: np.ndarray) -> np.ndarray:
    """Maximum over 2 × 2."""
    return np.maximum(
        np.maximum(x[:, ::2, ::2], x[:, 1::2, ::2]), np.maximum(x[:, ::2, 1::2], x[:, 1::2, 1::2])
    )


@cache
def _weights() -> dict[str, np.ndarray]:
    with np.load(WEIGHTS) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def _path(dataset: Dataset) -> Path:
    return dataset.derived(f"watermarks-{VERSION}.npy")
