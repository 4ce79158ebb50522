"""Brightness, contrast, sharpness and noise of each image, measured once per data set.

brightness  mean grey level, 0 to 255
contrast    standard deviation of the grey levels, 0 to 127.5
sharpness   variance of the Laplacian: high for crisp edges, low for blur (Pech-Pacheco et al. 2000,
            "Diatom autofocusing in brightfield microscopy")
noise       standard deviation of additive noise, estimated from the second derivative in both
            directions, which a smooth picture lacks (Immerkær 1996, "Fast noise variance estimation")
"""

import numpy as np

from fer import storage
from fer.data.dataset import Dataset

VERSION = 1
MEASURES: tuple[str, ...] = ("brightness", "contrast", "sharpness", "noise")
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


def quality(dataset: Dataset) -> dict[str, np.ndarray]:
    """`{measure: (N,) float32}` for `MEASURES`, cached under the fingerprint."""
    path = dataset.derived(f"quality-{VERSION}.npz")
    if path.exists():
        with np.load(path) as stored:
            return dict(stored)
    measured = measure(dataset.images)
    with storage.replacing(path) as temporary:
        np.savez(temporary, **measured)  # type: ignore[arg-type]
    return measured


def measure(images: np.ndarray) -> dict[str, np.ndarray]:
    """The measures of (N, 48, 48) uint8 images, each (N,) float32."""
    rows = np.array([_measure_one(image) for image in images], dtype=np.float32).reshape(-1, len(MEASURES))
    return {name: rows[:, column].copy() for column, name in enumerate(MEASURES)}


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of a (H, W) uint8 image."""
    import cv2

    return float(cv2.meanStdDev(cv2.Laplacian(image, cv2.CV_32F))[1].item() ** 2)


def noise(image: np.ndarray) -> float:
    """Estimated standard deviation of the noise in a (H, W) uint8 image, in grey levels."""
    import cv2

    response = cv2.filter2D(image, cv2.CV_32F, _NOISE_KERNEL)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * cv2.norm(response, cv2.NORM_L1) / response.size)


def _measure_one(image: np.ndarray) -> tuple[float, float, float, float]:
    import cv2

    mean, deviation = cv2.meanStdDev(image)
    return mean.item(), deviation.item(), sharpness(image), noise(image)
