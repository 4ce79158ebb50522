"""How training images are varied: one frozen config with the presets of the studies.

All amounts are half-widths of uniform draws around "no change", so 0 switches a variation off and a
per-class strength simply multiplies them. Angles, shear included, are in degrees: study A passed shear
0.1 believing it a fraction, which its generator read as 0.1°, so it did nothing; study B's 0.4 (radians)
is 23°.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fer.checks import check_choice, check_flag, check_keys, check_number
from fer.emotions import EMOTIONS
from fer.errors import UserError

FILLS: tuple[str, ...] = ("nearest", "constant", "reflect")

# Amount: (highest value, unit, what it does).
AMOUNTS: dict[str, tuple[float, str, str]] = {
    "rotation": (180.0, "degrees", "turn by up to this angle to either side"),
    "shift_x": (0.5, "of the width", "move sideways by up to this share"),
    "shift_y": (0.5, "of the height", "move up or down by up to this share"),
    "shear": (60.0, "degrees", "lean by up to this angle to either side"),
    "zoom": (0.9, "share", "scale width and height, each by a factor from 1 - zoom to 1 + zoom"),
    "crop": (0.5, "share", "cut a square that is up to this share smaller and enlarge it to 48×48"),
    "brightness": (1.0, "share", "multiply pixels by a factor from 1 - brightness to 1 + brightness"),
    "contrast": (1.0, "share", "spread pixels about the image's mean by 1 - contrast to 1 + contrast"),
    "cutout": (0.75, "of the side", "cover one grey square with a side of up to this share"),
}


@dataclass(frozen=True)
class AugmentationConfig:
    """What may happen to a training image; the default is nothing.

    Attributes:
        rotation, shear: degrees; shear s maps x to x - sin(s)·y and y to cos(s)·y, as
            ImageDataGenerator does. shift_x, shift_y, crop, cutout: share of the side.
        zoom, brightness, contrast: factors from 1 - value to 1 + value.
        flip: mirror left and right with probability ½.
        fill: what is drawn outside the frame: the nearest pixel, `fill_value`, or the mirrored image.
        fill_value: for fill `constant`, in [0, 1]: 0 is black.
        class_strength: factor on every amount for a class, 0 to 5 (studies B and D vary rare classes
            more); amounts are cut off at their limits, and 0 also switches the flip off.

    Raises:
        UserError: a value outside the limits in `AMOUNTS`.
    """

    rotation: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    cutout: float = 0.0
    flip: bool = False
    fill: str = "nearest"
    fill_value: float = 0.0
    class_strength: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (high, _, _) in AMOUNTS.items():
            object.__setattr__(self, name, check_number(name, getattr(self, name), 0, high))
        check_flag("flip", self.flip)
        check_choice("fill mode", self.fill, FILLS)
        object.__setattr__(self, "fill_value", check_number("fill value", self.fill_value, 0, 1))
        if not isinstance(self.class_strength, Mapping):
            raise UserError(f"class_strength is {self.class_strength!r}; give {{class: factor}}.")
        strengths = {}
        for emotion, factor in self.class_strength.items():
            check_choice("class", emotion, EMOTIONS)
            strengths[emotion] = check_number(f"strength for {emotion}", factor, 0, 5)
        object.__setattr__(self, "class_strength", strengths)

    @property
    def active(self) -> bool:
        """Whether any image may change."""
        return self.flip or any(getattr(self, name) > 0 for name in AMOUNTS)

    def scaled(self, factor: float) -> "AugmentationConfig":
        """Every amount times `factor`, cut off at its limit; a factor of 0 also switches the flip off."""
        amounts = {name: min(getattr(self, name) * factor, high) for name, (high, _, _) in AMOUNTS.items()}
        return replace(self, **amounts, flip=self.flip and factor > 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {
            "class_strength": dict(self.class_strength)
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "AugmentationConfig":
        """The config `to_json` described; an unknown key raises `UnknownName`."""
        return cls(**check_keys("augmentation", content, cls))

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True))


PRESETS: dict[str, AugmentationConfig] = {
    "none": AugmentationConfig(),
    # Study A; its shear of 0.1 was read as degrees.
    "A": AugmentationConfig(rotation=30, shift_x=0.1, shift_y=0.1, shear=0.1, zoom=0.2, flip=True),
    # Study B; its shear of 0.4 is read as radians.
    "B": AugmentationConfig(
        rotation=35,
        shift_x=0.25,
        shift_y=0.25,
        shear=23,
        zoom=0.4,
        brightness=0.5,
        flip=True,
        fill="constant",
    ),
    # Study C.
    "C": AugmentationConfig(rotation=20, shift_x=0.1, shift_y=0.1, zoom=0.1, flip=True),
    # Study D grew disgust by turns of 20°, shifts, shear and zoom of 10 % (shear read as radians) and flips;
    # of its fine-tuning it names the kinds and not the amounts, which are ours. Rare classes are varied more.
    "D": AugmentationConfig(
        rotation=20,
        shift_x=0.1,
        shift_y=0.1,
        shear=5.7,
        zoom=0.1,
        crop=0.1,
        brightness=0.2,
        contrast=0.2,
        flip=True,
        class_strength={"disgust": 1.5},
    ),
    # Ours: what the networks that reach 70 % and more on FER-2013 use, without turning faces far.
    "ours": AugmentationConfig(
        rotation=12, shift_x=0.1, shift_y=0.1, zoom=0.1, contrast=0.2, brightness=0.2, cutout=0.33, flip=True
    ),
}
"""Presets that come with the program; those a user saved are beside them in `fer.augmentation.presets`."""
