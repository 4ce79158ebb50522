"""From a seed to parameters, from parameters to pixels.

`Augmenter` draws one row of parameters per image on the host (NumPy, a counter-based seed, so that a
resumed run draws what an uninterrupted one would have drawn). `vary` turns images and parameters into
pixels with operations that NumPy and `keras.ops` share: one affine sample per image, whatever is
combined, then contrast, brightness and cutout.

Compilers fuse multiplications with additions and sum in another order than NumPy, which moves the last
bits. Here the numbers are kept to so few bits that every step before the last is exact in float32, in
whatever order it is done: maps to 2^-13, coordinates to 1/128 pixel (OpenCV's `warpAffine` takes 1/32),
factors to 2^-9, and grey levels to 1/16 where a mean is taken. So a preview under NumPy and a training
step compiled for any backend give the same pixels, bit by bit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer.augmentation.config import AMOUNTS, AugmentationConfig
from fer.emotions import EMOTIONS, IMAGE_SIZE

CENTRE = (IMAGE_SIZE - 1) / 2
COLUMNS = 12  # 6 of the affine map, contrast, brightness, left, right, top and bottom of the cutout
CUTOUT_GREY = 0.5  # close to FER-2013's mean pixel, 0.508
TO_SHARE = np.float32(1 / 255)  # a factor: XLA replaces a division by a constant, which moves last bits
MAP_STEPS, PIXEL_STEPS, FACTOR_STEPS, GREY_STEPS = 2.0**13, 128.0, 2.0**9, 16.0  # see the module's docstring


class Augmenter:
    """Draws what happens to each image of a batch.

    config: how images are varied.
    classes: names of the labels, in order.
    """

    def __init__(self, config: AugmentationConfig, classes: Sequence[str] = EMOTIONS):
        self.config = config
        per_class = [config.scaled(config.class_strength.get(name, 1.0)) for name in classes]
        self._limits = {name: np.array([getattr(c, name) for c in per_class]) for name in AMOUNTS}
        self._flip = np.array([0.5 if c.flip else 0.0 for c in per_class])

    def parameters(self, labels: np.ndarray, seed: Sequence[int]) -> np.ndarray:
        """(N, 12) float32 for `vary`, the same for the same labels and seed, on every backend.

        labels: (N,) integers, index into `classes`.
        seed: non-negative integers, such as (run seed, epoch, step).
        """
        random = np.random.default_rng(list(seed))
        count = len(labels)

        def draw(name: str) -> np.ndarray:
            return random.uniform(-1, 1, count) * self._limits[name][labels]

        angle, shear = np.deg2rad(draw("rotation")), np.deg2rad(draw("shear"))
        shift_x, shift_y = draw("shift_x") * IMAGE_SIZE, draw("shift_y") * IMAGE_SIZE
        zoom_x, zoom_y = 1 + draw("zoom"), 1 + draw("zoom")
        cropped = np.abs(draw("crop"))
        spare = cropped * IMAGE_SIZE / 2
        crop_x, crop_y = random.uniform(-1, 1, (2, count)) * spare
        mirror = np.where(random.uniform(0, 1, count) < self._flip[labels], -1.0, 1.0)
        contrast, brightness = 1 + draw("contrast"), 1 + draw("brightness")
        side = np.abs(draw("cutout")) * IMAGE_SIZE
        hole_x, hole_y = random.uniform(0, IMAGE_SIZE, (2, count)) - 0.5

        scale_x, scale_y = zoom_x * (1 - cropped) * mirror, zoom_y * (1 - cropped)
        cosine, sine = np.cos(angle), np.sin(angle)
        # Output to input: rotate(shear(scale(p - centre))) + centre + shift, as in ImageDataGenerator.
        xx, xy = cosine * scale_x, -(cosine * np.sin(shear) + sine * np.cos(shear)) * scale_y
        yx, yy = sine * scale_x, (cosine * np.cos(shear) - sine * np.sin(shear)) * scale_y
        x0 = CENTRE + shift_x + crop_x - (xx + xy) * CENTRE
        y0 = CENTRE + shift_y + crop_y - (yx + yy) * CENTRE
        holes = (hole_x - side / 2, hole_x + side / 2, hole_y - side / 2, hole_y + side / 2)
        maps = (np.rint(column * MAP_STEPS) / MAP_STEPS for column in (xx, xy, x0, yx, yy, y0))
        factors = (np.rint(column * FACTOR_STEPS) / FACTOR_STEPS for column in (contrast, brightness))
        return np.stack([*maps, *factors, *holes], axis=1).astype(np.float32)

    def numpy(self, images: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """(N, 48, 48) uint8 varied by `parameters`: (N, 48, 48) float32 in [0, 1]."""
        if not self.config.active:
            return images.astype(np.float32) * TO_SHARE
        return vary(images, parameters, np, self.config)


def vary(images: Any, parameters: Any, ops: Any, config: AugmentationConfig) -> Any:
    """The varied images, (N, 48, 48) float32 in [0, 1].

    images: (N, 48, 48) uint8 or float in 0 to 255. parameters: (N, 12) from `Augmenter.parameters`.
    ops: `numpy` or `keras.ops`. config: decides which of the steps are there at all.
    """
    columns = [parameters[:, n][:, None, None] for n in range(COLUMNS)]
    xx, xy, x0, yx, yy, y0, contrast, brightness, left, right, top, bottom = columns
    axis = np.arange(IMAGE_SIZE, dtype=np.float32)
    column, row = axis[None, None, :], axis[None, :, None]
    varied = _sample(images, xx * column + xy * row + x0, yx * column + yy * row + y0, ops, config)
    if config.contrast:
        varied = _rounded(varied, GREY_STEPS, ops)
        total = ops.sum(varied, axis=(1, 2), keepdims=True)
        mean = ops.round(total * np.float32(GREY_STEPS / IMAGE_SIZE**2)) / np.float32(GREY_STEPS)
        varied = (varied - mean) * contrast + mean
    if config.brightness:
        varied = varied * brightness
    if config.contrast or config.brightness:
        varied = ops.clip(varied, 0.0, 255.0)
    varied = varied * TO_SHARE
    if config.cutout:
        covered = (column >= left) & (column < right) & (row >= top) & (row < bottom)
        varied = ops.where(covered, np.float32(CUTOUT_GREY), varied)
    return varied


def _sample(images: Any, x: Any, y: Any, ops: Any, config: AugmentationConfig) -> Any:
    """Bilinear samples of each image at its (N, 48, 48) coordinates, in 0 to 255."""
    outside = (x < -0.5) | (x > IMAGE_SIZE - 0.5) | (y < -0.5) | (y > IMAGE_SIZE - 0.5)
    if config.fill == "reflect":
        x, y = _mirrored(x, ops), _mirrored(y, ops)
    x, y = _rounded(x, PIXEL_STEPS, ops), _rounded(y, PIXEL_STEPS, ops)
    x, y = ops.clip(x, 0.0, IMAGE_SIZE - 1.0), ops.clip(y, 0.0, IMAGE_SIZE - 1.0)
    left, top = ops.minimum(ops.floor(x), IMAGE_SIZE - 2.0), ops.minimum(ops.floor(y), IMAGE_SIZE - 2.0)
    right_part, low_part = x - left, y - top
    count = ops.shape(images)[0]
    first = ops.arange(count, dtype="int32")[:, None, None] * IMAGE_SIZE**2
    corner = _cast(top * IMAGE_SIZE + left, "int32", ops) + first
    flat = ops.reshape(images, (-1,))

    def pixel(offset: int) -> Any:
        return _cast(ops.take(flat, corner + offset), "float32", ops)

    upper = pixel(0) * (1 - right_part) + pixel(1) * right_part
    lower = pixel(IMAGE_SIZE) * (1 - right_part) + pixel(IMAGE_SIZE + 1) * right_part
    sampled = upper * (1 - low_part) + lower * low_part
    if config.fill == "constant":
        sampled = ops.where(outside, np.float32(255 * config.fill_value), sampled)
    return sampled


def _rounded(values: Any, steps: float, ops: Any) -> Any:
    """`values` to the nearest multiple of 1 / steps, a power of two."""
    return ops.round(values * np.float32(steps)) / np.float32(steps)


def _mirrored(position: Any, ops: Any) -> Any:
    """Coordinates folded back into the frame at its edges: …c b a | a b c d | d c b…"""
    folded = ops.mod(position + 0.5, 2.0 * IMAGE_SIZE)
    return ops.minimum(folded, 2.0 * IMAGE_SIZE - folded) - 0.5


def _cast(values: Any, dtype: str, ops: Any) -> Any:
    return values.astype(dtype) if ops is np else ops.cast(values, dtype)
