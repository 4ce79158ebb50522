"""The augmentation as a Keras layer, and MixUp and CutMix after it: what training compiles.

This module imports keras; everything else in `fer.augmentation` does not.
"""

from typing import Any

import keras
from keras import ops

from fer.augmentation.config import AugmentationConfig
from fer.augmentation.pixels import TO_SHARE, vary
from fer.emotions import IMAGE_SIZE


class Augment(keras.layers.Layer):
    """Images and parameters to varied, normalised images, in float32 at any training precision.

    call: images (N, 48, 48) uint8 and parameters (N, 12) float32 of `Augmenter.parameters` →
    (N, 48, 48, 1) float32 in [0, 1].
    """

    def __init__(self, config: AugmentationConfig, **options: Any):
        super().__init__(dtype="float32", autocast=False, **options)
        self.config = config

    def call(self, images: Any, parameters: Any) -> Any:
        if not self.config.active:
            return ops.cast(images, "float32")[..., None] * TO_SHARE
        return vary(images, parameters, ops, self.config)[..., None]


class Mix(keras.layers.Layer):
    """Blend each image with a partner of its batch: MixUp (a share everywhere) or CutMix (a rectangle).

    call: images (N, 48, 48, 1); partners (N,) int32; mixing (N, 5) float32: the share of the image
    itself outside the rectangle, then left, right, top, bottom of a rectangle that shows the partner.
    """

    def call(self, images: Any, partners: Any, mixing: Any) -> Any:
        others = ops.take(images, partners, axis=0)
        share, left, right, top, bottom = (mixing[:, n][:, None, None, None] for n in range(5))
        axis = ops.arange(IMAGE_SIZE, dtype="float32")
        column, row = axis[None, None, :, None], axis[None, :, None, None]
        inside = (column >= left) & (column < right) & (row >= top) & (row < bottom)
        return ops.where(inside, others, share * images + (1.0 - share) * others)
