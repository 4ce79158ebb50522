"""What the detectors say about images: the autoencoder in one compiled function, PCA, isolation forest.

Study A scored a shuffled and augmented stream, so its indices did not belong to the files it dropped; here
images are scored as they are, in the order of the data set, in float32.

The reconstruction error misses what is smooth: a face behind a mask or a box is redrawn well. So the same
network is also asked how unusual its code is: the Mahalanobis distance of the code's channels from those of
train (Denouden et al. 2018, "Improving reconstruction autoencoder out-of-distribution detection with
Mahalanobis distance", arXiv:1812.02765), with a covariance after Ledoit and Wolf (2004).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.analysis.outliers import Scores
from fer.analysis.quality import MEASURES, quality
from fer.data.dataset import Dataset
from fer.errors import UserError

if TYPE_CHECKING:
    import keras

BATCH = 32  # of the scoring function: activations of 48×48×64 then stay near the processor
COMPONENTS = 64
FIT_IMAGES = 8000  # enough for 64 components, and a second of work
CODE = "code_bn"  # the layer with the 12×12×32 code

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Reconstructed:
    """What the autoencoder makes of M images, in their order.

    Attributes:
        pictures: (M, 48, 48) uint8.
        errors: (M,) float32, mean squared error of pixels in [0, 1].
        codes: (M, 64) float32: mean, then standard deviation, of each of the code's 32 channels.
    """

    pictures: np.ndarray
    errors: np.ndarray
    codes: np.ndarray


def reconstruct(
    model: "keras.Model", images: np.ndarray, indices: np.ndarray, progress: Progress | None = None
) -> Reconstructed:
    """Score `images[indices]`, (N, 48, 48) uint8: one graph from bytes to bytes and one batch shape."""
    score = _scorer(model)
    parts = []
    for start in range(0, len(indices), BATCH):
        chosen = indices[start : start + BATCH]
        block = np.zeros((BATCH, 48, 48), dtype=np.uint8)
        block[: len(chosen)] = images[chosen]
        parts.append([np.asarray(part)[: len(chosen)] for part in score(block)])
        if progress and (start // BATCH) % 8 == 0:
            done = start + len(chosen)
            progress(done / len(indices), f"Scored {done:,} of {len(indices):,} images")
    if progress:
        progress(1.0, f"Scored {len(indices):,} images")
    if not parts:
        return Reconstructed(
            np.zeros((0, 48, 48), np.uint8), np.zeros(0, np.float32), np.zeros((0, 0), np.float32)
        )
    pictures, errors, codes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Reconstructed(pictures, errors, codes)


def code_distances(codes: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """(M,) float32 Mahalanobis distances of (M, D) codes from those of the images `fitted`.

    d² = (z − μ)ᵀ Σ⁻¹ (z − μ); channels that never vary are left out.

    Raises:
        UserError: fewer than 2 images to fit.
    """
    from sklearn.covariance import LedoitWolf

    if len(fitted) < 2:
        raise UserError(f"{len(fitted)} training images; outliers need at least 2.")
    spread = codes[fitted].std(axis=0)
    varying = spread > 1e-6
    if not varying.any():
        return np.zeros(len(codes), dtype=np.float32)
    z = (codes[:, varying] - codes[fitted][:, varying].mean(axis=0)) / spread[varying]
    return np.sqrt(LedoitWolf().fit(z[fitted]).mahalanobis(z)).astype(np.float32)


def _scorer(model: "keras.Model") -> Callable[[np.ndarray], Any]:
    """(B, 48, 48) uint8 → pictures, errors and codes of `Reconstructed`, traced once for each model."""
    from keras import ops

    from fer.backend import traced
    from fer.models.autoencoder import fast_forward

    named = any(layer.name == CODE for layer in model.layers)
    network = fast_forward(model) if named else lambda pixels: (model(pixels, training=False),) * 2

    def score(images: Any) -> Any:
        pixels = ops.cast(images, "float32")[..., None] / 255.0
        made, inner = network(pixels)
        errors = ops.mean(ops.square(made - pixels), axis=(1, 2, 3))
        pictures = ops.cast(ops.round(made[..., 0] * 255.0), "uint8")
        return (
            pictures,
            errors,
            ops.concatenate([ops.mean(inner, axis=(1, 2)), ops.std(inner, axis=(1, 2))], 1),
        )

    return traced(score)


def fit_pca(dataset: Dataset) -> Scores:
    """Error of the reconstruction from 64 principal components of train."""
    started = time.monotonic()
    mean, components = _principal(dataset)
    errors = np.empty(len(dataset), dtype=np.float32)
    for start, pixels in _pixels(dataset):
        centred = pixels - mean
        codes = centred @ components.T
        errors[start : start + len(pixels)] = np.square(centred - codes @ components).mean(axis=1)
    facts = {"components": len(components), "seconds": time.monotonic() - started}
    return Scores("pca", errors, facts)


def fit_forest(dataset: Dataset) -> Scores:
    """Isolation forest on 32 components and the quality measures, fitted on train."""
    from sklearn.ensemble import IsolationForest

    started = time.monotonic()
    mean, components = _principal(dataset)
    codes = np.concatenate([(pixels - mean) @ components[:32].T for _, pixels in _pixels(dataset)])
    measures = quality(dataset)
    features = np.column_stack([codes, *(measures[name] for name in MEASURES)])
    forest = IsolationForest(n_estimators=200, random_state=0).fit(features[dataset.indices("train")])
    facts = {"trees": 200, "features": features.shape[1], "seconds": time.monotonic() - started}
    return Scores("isolation forest", -forest.score_samples(features).astype(np.float32), facts)


def _principal(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """((2304,) mean, (C, 2304) components) of train pixels in [0, 1], from at most 8,000 images."""
    from sklearn.decomposition import PCA

    train = dataset.indices("train")
    if len(train) > FIT_IMAGES:
        train = np.sort(np.random.default_rng(0).choice(train, FIT_IMAGES, replace=False))
    pixels = dataset.images[train].reshape(len(train), -1).astype(np.float32) / 255
    count = min(COMPONENTS, len(train) - 1)
    if count < 1:
        raise UserError(f"{dataset.name!r} has {len(train)} training images; outliers need at least 2.")
    pca = PCA(count, svd_solver="randomized", random_state=0).fit(pixels)
    return pca.mean_.astype(np.float32), pca.components_.astype(np.float32)


def _pixels(dataset: Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (start, (M, 2304) float32 in [0, 1]) chunks in file order."""
    for start in range(0, len(dataset), 2048):
        chunk = np.asarray(dataset.images[start : start + 2048])
        yield start, chunk.reshape(len(chunk), -1).astype(np.float32) / 255
