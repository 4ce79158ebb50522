"""Varying training images: what is drawn (`config`), how pixels move (`pixels`), and the page's preview.

Training and preview share one `Augmenter`: it draws one set of parameters per image from a seed, and
one function turns images and parameters into pixels, under Keras in the compiled training step and under
NumPy in the page, which so needs no TensorFlow (600 MB and seconds of import in the server).
"""

from fer.augmentation.config import AMOUNTS, FILLS, PRESETS, AugmentationConfig
from fer.augmentation.pixels import Augmenter
from fer.augmentation.presets import delete_preset, list_presets, preset, save_preset
from fer.augmentation.preview import frame_warning, out_of_frame, preview

__all__ = [
    "AMOUNTS",
    "FILLS",
    "PRESETS",
    "AugmentationConfig",
    "Augmenter",
    "delete_preset",
    "frame_warning",
    "list_presets",
    "out_of_frame",
    "preset",
    "preview",
    "save_preset",
]
