"""Everything about a picture that must not depend on the expression: pose, light, place, cover, quality.

`fer.data.demo.effects` paints what is drawn here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.data.demo.geometry import Pose
from fer.data.demo.shading import Light

OCCLUSIONS = ("", "hand", "hair", "sunglasses", "object")
_MARKS = ("SAMPLE", "preview", "photostock", "demo image", "STOCK", "picbank", "fotodemo")


@dataclass(frozen=True)
class Scene:
    """One picture's conditions; angles in degrees, lengths in pixels of the 48 × 48 image."""

    identity: int
    yaw: float
    pitch: float
    roll: float
    shift_x: float
    shift_y: float
    zoom: float
    light_angle: float  # degrees, 0 from the front, + from the right
    light_height: float
    ambient: float
    brightness: float  # mean grey level of the picture
    contrast: float  # standard deviation of grey levels
    noise: float  # standard deviation of grey levels
    blur: float  # Gaussian, pixels
    watermark: str  # '' or the text
    watermark_strength: float
    occlusion: str
    background: int
    gaze_x: float
    gaze_y: float
    blink: float
    seed: int

    def factors(self) -> dict[str, Any]:
        return dict(vars(self))

    def pose(self, size: int) -> Pose:
        unit = size / 48
        return Pose(
            self.yaw,
            self.pitch,
            self.roll,
            ((24 + self.shift_x) * unit, (29.3 + self.shift_y) * unit),
            26.0 * self.zoom * unit,
        )

    def light(self) -> Light:
        turn, rise = np.deg2rad([self.light_angle, self.light_height])
        direction = (
            float(np.sin(turn) * np.cos(rise)),
            float(-np.sin(rise)),
            float(np.cos(turn) * np.cos(rise)),
        )
        return Light(direction, self.ambient, 1.08 - self.ambient, 0.10)


def sample_scene(rng: np.random.Generator, identities: int) -> Scene:
    """Conditions of one picture, drawn without knowing its label."""
    n = rng.normal
    return Scene(
        identity=int(rng.integers(identities)),
        yaw=float(np.clip(n(0, 10), -32, 32)),
        pitch=float(np.clip(n(0, 5), -15, 15)),
        roll=float(np.clip(n(0, 4.5), -18, 18)),
        shift_x=float(n(0, 0.6)),
        shift_y=float(n(0, 0.6)),
        zoom=float(np.exp(n(0, 0.045))),
        light_angle=float(np.clip(n(0, 27), -70, 70)),
        light_height=float(np.clip(n(28, 16), -15, 65)),
        ambient=float(rng.uniform(0.30, 0.62)),
        brightness=float(np.clip(n(125, 18), 65, 185)),
        contrast=float(np.clip(n(53, 7), 32, 72)),
        noise=float(rng.choice([0.0, 1.0], p=[0.55, 0.45]) * rng.gamma(1.8, 1.7)),
        blur=float(max(0.0, n(0.0, 0.42))),
        watermark=str(rng.choice(_MARKS)) if rng.random() < 0.10 else "",
        watermark_strength=float(rng.uniform(0.25, 0.5)),
        occlusion=str(rng.choice(OCCLUSIONS, p=[0.90, 0.045, 0.03, 0.015, 0.01])),
        background=int(rng.integers(4)),
        gaze_x=float(np.clip(n(0, 0.45), -1, 1)),
        gaze_y=float(np.clip(n(0, 0.3), -0.8, 0.8)),
        blink=float(rng.beta(1.2, 8) if rng.random() > 0.03 else 1.0),
        seed=int(rng.integers(2**31)),
    )
