"""What an augmentation does to faces, without a training: pictures, and how much leaves the frame."""

import numpy as np

from fer.augmentation.config import AugmentationConfig
from fer.augmentation.pixels import Augmenter
from fer.emotions import IMAGE_SIZE

# FER-2013 registers faces so that they are centred and fill about the same area; this ellipse
# (centre, half-axes, in pixels) holds brows, eyes, nose and mouth of its mean face.
FACE_CENTRE, FACE_AXES = (23.5, 25.5), (17.0, 20.0)
FRAME_WARNING = 0.10


def preview(
    images: np.ndarray,
    config: AugmentationConfig,
    seed: int,
    labels: np.ndarray | None = None,
    epoch: int = 0,
) -> np.ndarray:
    """The variants that training with this seed would draw for these images as the first batch of `epoch`.

    images: (N, 48, 48) uint8. labels: (N,) index into `EMOTIONS`, for strengths per class.
    Returns (N, 48, 48) uint8. Uses NumPy: 24 images take milliseconds and no TensorFlow.
    """
    images = np.asarray(images)
    labels = np.zeros(len(images), dtype=np.int64) if labels is None else np.asarray(labels)
    augmenter = Augmenter(config)
    parameters = augmenter.parameters(labels, augmentation_seed(seed, epoch, 0))
    return np.rint(augmenter.numpy(images, parameters) * 255).astype(np.uint8)


def augmentation_seed(seed: int, epoch: int, step: int) -> tuple[int, int, int, int]:
    """The seed of one training step's variants: of the run, the epoch and the step alone."""
    return (seed, 1, epoch, step)


def out_of_frame(config: AugmentationConfig, draws: int = 2000, seed: int = 0) -> float:
    """Mean share, in [0, 1], of the face's pixels that land outside the picture, over `draws` variants.

    A pixel has left when the inverse of the drawn map takes it out of the 48×48 frame. Measured for the
    average class: strengths per class are applied to class after class in turn.
    """
    labels = np.arange(draws) % 7
    maps = Augmenter(config).parameters(labels, augmentation_seed(seed, 0, 0))[:, :6].astype(np.float64)
    xx, xy, x0, yx, yy, y0 = (maps[:, n][:, None] for n in range(6))
    columns, rows = _face_pixels()
    across, down = columns[None] - x0, rows[None] - y0
    determinant = xx * yy - xy * yx
    x = (yy * across - xy * down) / determinant
    y = (xx * down - yx * across) / determinant
    low, high = -0.5, IMAGE_SIZE - 0.5
    return float(np.mean((x < low) | (x > high) | (y < low) | (y > high)))


def frame_warning(config: AugmentationConfig) -> str | None:
    """A sentence if the measured loss is above 10 %, naming the amount that causes most of it."""
    lost = out_of_frame(config)
    if lost <= FRAME_WARNING:
        return None
    geometric = [n for n in ("shift_x", "shift_y", "zoom", "crop", "shear", "rotation") if getattr(config, n)]
    values = config.to_json()
    without = {n: out_of_frame(AugmentationConfig.from_json(values | {n: 0.0})) for n in geometric}
    worst = min(without, key=lambda name: without[name])
    return (
        f"On average {lost:.0%} of the face leaves the picture (measured on 2,000 variants; the limit for "
        f"this warning is {FRAME_WARNING:.0%}). Lower {worst.replace('_', ' ')} first."
    )


def _face_pixels() -> tuple[np.ndarray, np.ndarray]:
    """(M,) columns and (M,) rows of the pixels inside the face ellipse."""
    rows, columns = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE].astype(np.float64)
    x, y = (columns - FACE_CENTRE[0]) / FACE_AXES[0], (rows - FACE_CENTRE[1]) / FACE_AXES[1]
    inside = x**2 + y**2 <= 1
    return columns[inside], rows[inside]
