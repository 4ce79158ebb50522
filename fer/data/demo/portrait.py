"""What every painter of a feature is given: canvas, head, units, light, and two kinds of line."""

from dataclasses import dataclass, field

import numpy as np

from fer.data.demo.canvas import RGB, Canvas, Tone, ribbon
from fer.data.demo.expressions import Units
from fer.data.demo.geometry import Head

SIDES = (-1, 1)
ALONG = np.linspace(0, 1, 9)
SPINDLE = np.sqrt(np.linspace(0.02, 1, 9) * np.linspace(1, 0.02, 9))  # half-widths of a tapered line
FADING = 0.5 * np.sqrt(np.linspace(1, 0.02, 9))  # … of one that starts at full width
RING = np.column_stack([np.cos(np.arange(16) * (np.pi / 8)), np.sin(np.arange(16) * (np.pi / 8))])
_FINE, _SOFT = 0.010, 0.030  # blur of lines and of shadows, head units


@dataclass(frozen=True)
class Portrait:
    """One head being painted.

    shade: (H, W) float32 light on each canvas pixel; gaze: (x, y) of the irises in eye half-widths;
    blink: 0 open … 1 shut; lines, shadows: (polygon in pixels, depth) waiting to be engraved.
    """

    canvas: Canvas
    head: Head
    units: Units
    shade: np.ndarray
    gaze: tuple[float, float] = (0.0, 0.0)
    blink: float = 0.0
    lines: list[tuple[np.ndarray, float]] = field(default_factory=list)
    shadows: list[tuple[np.ndarray, float]] = field(default_factory=list)

    def px(self, length: float) -> float:
        """Head units to pixels."""
        return length * self.head.pose.scale

    def lit(self, colour: RGB | np.ndarray, at: np.ndarray, strength: float = 1.0) -> Tone:
        """A tone under the light at a pixel position."""
        height, width = self.shade.shape
        column = min(max(int(at[0]), 0), width - 1)
        row = min(max(int(at[1]), 0), height - 1)
        return self.canvas.tone(colour) * (1 + strength * (self.shade.item(row, column) - 1))

    def engrave_shadows(self) -> None:
        """Darken the skin by all shadows gathered so far, softly."""
        self.canvas.engrave(self.shadows, self.px(_SOFT))

    def engrave_lines(self) -> None:
        """Darken by all lines gathered so far."""
        self.canvas.engrave(self.lines, self.px(_FINE))


@dataclass(frozen=True)
class Crease:
    """A line on the right half of the face, mirrored to the left: 9 points in head units.

    width: at its thickest; depth: share of the light it takes, 0–1; shape: (9,) relative half-width.
    """

    x: np.ndarray
    y: np.ndarray
    width: float
    depth: float
    shape: np.ndarray = field(default_factory=lambda: SPINDLE)


def outline_creases(art: Portrait, creases: list[Crease]) -> list[tuple[np.ndarray, float]]:
    """Polygons in pixels with their depths; creases too faint to see are left out."""
    seen = [crease for crease in creases if crease.depth > 0.04]
    if not seen:
        return []
    x, y = np.concatenate([c.x for c in seen]), np.concatenate([c.y for c in seen])
    half = np.concatenate([art.px(c.width) * c.shape for c in seen]).reshape(len(seen), 9)
    lines = art.head.curves(x, y).reshape(2, len(seen), 9, 2)
    depths = [min(c.depth, 1.0) for c in seen]
    return list(zip(ribbon(lines, half).reshape(-1, 18, 2), depths * 2, strict=True))
