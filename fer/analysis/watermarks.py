"""A watermark score: how much an image looks as if a stock photo site had stamped it.

A network of 35,345 weights, trained on faces with and without drawn stamps (`watermark_training`), says for
each of 24×24 places how likely a stroke of a stamp covers it. The score is the mean answer (a logit, higher
is likelier) of the 4 likeliest places; training takes 12, but a small faint logo peaks at a few.

    48×48×1   grey levels minus their mean, divided by their deviation + 8
    48×48×24  Conv 5×5 same, ReLU → max-pool 2
    24×24×32  Conv 3×3 same, ReLU, four times, dilated by 1, 2, 4 and 1 → Conv 1×1, 1 filter

It runs in NumPy, so that the page that shows it needs no TensorFlow, and once per data set.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from fer import storage
from fer.data.dataset import Dataset

VERSION = 3
WEIGHTS = Path(__file__).with_name("watermarks.npz")
PLACES, PARAMETERS = 4, 35_345
DILATIONS = {"conv1": 1, "conv2": 1, "conv3": 2, "conv4": 4, "conv5": 1}
_CHUNK = 16  # images at once: the columns of one layer then take 10 MB

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
    """(N,) float32 mean logits of the likeliest places of (N, 48, 48) uint8 images."""
    result = np.empty(len(images), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        places = stamp_map(np.asarray(images[start : start + _CHUNK])).reshape(-1, 24 * 24)
        likeliest = np.partition(places, -PLACES, axis=1)[:, -PLACES:]
        result[start : start + len(places)] = likeliest.mean(axis=1)
        if progress and (start // _CHUNK) % 16 == 0:
            progress(start / len(images), f"Looked at {start:,} of {len(images):,} images")
    if progress:
        progress(1.0, f"Looked at {len(images):,} images")
    return result


def stamp_map(images: np.ndarray) -> np.ndarray:
    """(N, 24, 24) float32 logits: where a stamp covers (N, 48, 48) uint8 images."""
    weights = _weights()
    x = normalised(images)[..., None]
    for name, dilation in DILATIONS.items():
        x = _convolve(x, weights[name], weights[f"{name}_bias"], dilation)
        if name == "conv1":
            x = _pool(x)
    return (x @ weights["mask"][0, 0] + weights["mask_bias"])[..., 0]


def normalised(images: np.ndarray) -> np.ndarray:
    """(N, 48, 48) float32: grey levels minus their mean, divided by their standard deviation + 8."""
    pixels = images.astype(np.float32)
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    return (pixels - mean) / (pixels.std(axis=(1, 2), keepdims=True) + 8)


def _convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, dilation: int) -> np.ndarray:
    """Same-sized dilated convolution and ReLU: (N, H, W, C) to (N, H, W, F)."""
    size, _, channels, filters = kernel.shape
    edge = dilation * (size // 2)
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    reach = dilation * (size - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (reach, reach), axis=(1, 2))
    windows = windows[..., ::dilation, ::dilation]
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    y = columns @ kernel.reshape(-1, filters) + bias
    return np.maximum(y, 0).reshape(*x.shape[:3], filters)


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
