"""A float canvas with anti-aliased, blurred polygons: everything the faces are painted with.

Coordinates are pixels (x to the right, y down); polygons are (N, 2) float arrays, drawn with 1/16 pixel
precision by OpenCV. One channel paints the grey data set, three paint the colour photos.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_SHIFT = 4  # OpenCV's fixed-point fraction bits
RGB = tuple[float, float, float]
Polygons = np.ndarray | Sequence[np.ndarray]  # (K, N, 2), or K of (N, 2)
Tone = float | np.ndarray  # a grey level, or (3,) float32 RGB


@dataclass(frozen=True)
class Mask:
    """Coverage of a box of the canvas: values (h, w) float32 in [0, 1]."""

    rows: slice
    columns: slice
    values: np.ndarray


class Canvas:
    """Pixels (H, W, C) float32 in [0, 255], C = 1 (grey) or 3 (RGB)."""

    def __init__(self, height: int, width: int, channels: int = 1, value: float = 0.0):
        self.pixels = np.full((height, width, channels), value, dtype=np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    def tone(self, colour: RGB | np.ndarray) -> Tone:
        """The colour itself, or its luminance on a grey canvas (ITU-R BT.601)."""
        if self.pixels.shape[2] == 3:
            return np.asarray(colour, dtype=np.float32)
        return float(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])

    def mask(self, polygons: Polygons, blur: float = 0.0, within: Mask | None = None) -> Mask | None:
        """Coverage of the union of polygons, blurred by a Gaussian of `blur` pixels; None if outside.

        With `within`, coverage is computed in that mask's box and multiplied by it.
        """
        fixed = _fixed_point(polygons)
        box = self._box(fixed, 2 + int(2.5 * blur)) if within is None else (within.rows, within.columns)
        if box is None:
            return None
        rows, columns = box
        cover = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
        origin = np.array([columns.start << _SHIFT, rows.start << _SHIFT], dtype=np.int32)
        for polygon in fixed:  # one by one: together, overlapping polygons would cancel
            cv2.fillPoly(cover, [polygon - origin], 255, cv2.LINE_AA, _SHIFT)
        values = _soften(cover, blur)
        if within is not None:
            values = values * within.values
        return Mask(rows, columns, values)

    def _box(self, fixed: np.ndarray | list[np.ndarray], margin: int) -> tuple[slice, slice] | None:
        """Rows and columns around fixed-point polygons, inside the canvas; None if there are none."""
        height, width = self.shape
        points = fixed.reshape(-1, 2) if isinstance(fixed, np.ndarray) else np.concatenate(fixed)
        x, y, wide, high = cv2.boundingRect(points)
        left, right = max((x >> _SHIFT) - margin, 0), min(((x + wide) >> _SHIFT) + 1 + margin, width)
        top, bottom = max((y >> _SHIFT) - margin, 0), min(((y + high) >> _SHIFT) + 1 + margin, height)
        return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None

    def blend(self, mask: Mask | None, colour: Tone, alpha: float = 1.0) -> None:
        """Mix a tone or pixels (h, w, C) into the canvas where the mask covers it."""
        if mask is not None and alpha > 0:
            box = self.pixels[mask.rows, mask.columns]
            cover = mask.values if alpha == 1 else mask.values * np.float32(alpha)
            box += (np.asarray(colour, dtype=np.float32) - box) * cover[..., None]

    def multiply(self, mask: Mask | None, factor: Tone) -> None:
        """Scale the canvas by `factor` where the mask covers it."""
        if mask is not None:
            box = self.pixels[mask.rows, mask.columns]
            box *= 1 + mask.values[..., None] * np.asarray(factor - 1, dtype=np.float32)

    def fill(self, polygons: Polygons, colour: Tone, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Paint polygons in one tone."""
        self.blend(self.mask(polygons, blur), colour, alpha)

    def shade(self, polygons: Polygons, factor: Tone, blur: float = 0.0) -> None:
        """Darken (factor < 1) or lighten polygons."""
        self.multiply(self.mask(polygons, blur), factor)

    def engrave(
        self, shapes: Sequence[tuple[np.ndarray, float]], blur: float = 0.0, dark: Tone = 0.0
    ) -> None:
        """Darken each polygon by its own depth in [0, 1], in one pass; where they overlap the last counts.

        At depth 1 the canvas is multiplied by `dark`.
        """
        fixed = [np.rint(polygon * (1 << _SHIFT)).astype(np.int32) for polygon, _ in shapes]
        box = self._box(fixed, 2 + int(2.5 * blur)) if shapes else None
        if box is None:
            return
        rows, columns = box
        layer = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
        origin = np.array([columns.start << _SHIFT, rows.start << _SHIFT], dtype=np.int32)
        for polygon, (_, depth) in zip(fixed, shapes, strict=True):
            cv2.fillPoly(layer, [polygon - origin], round(255 * depth), cv2.LINE_AA, _SHIFT)
        self.multiply(Mask(rows, columns, _soften(layer, blur)), dark)


def _soften(cover: np.ndarray, blur: float) -> np.ndarray:
    """(h, w) uint8 to float32 in [0, 1], blurred if that is to be seen once the picture is halved."""
    values = cover * np.float32(1 / 255)
    return cv2.GaussianBlur(values, (0, 0), blur) if blur > 0.6 else values


def _fixed_point(polygons: Polygons) -> np.ndarray | list[np.ndarray]:
    if isinstance(polygons, np.ndarray) or len(polygons) == 1:
        return np.rint(np.asarray(polygons) * (1 << _SHIFT)).astype(np.int32)
    return [np.rint(polygon * (1 << _SHIFT)).astype(np.int32) for polygon in polygons]


def ribbon(points: np.ndarray, widths: float | np.ndarray) -> np.ndarray:
    """A closed polygon (…, 2N, 2) around each polyline (…, N, 2) with the given half-widths (pixels)."""
    normal = np.empty_like(points)
    normal[..., 1:-1, 0] = points[..., :-2, 1] - points[..., 2:, 1]
    normal[..., 1:-1, 1] = points[..., 2:, 0] - points[..., :-2, 0]
    normal[..., 0, 0] = points[..., 0, 1] - points[..., 1, 1]
    normal[..., 0, 1] = points[..., 1, 0] - points[..., 0, 0]
    normal[..., -1, 0] = points[..., -2, 1] - points[..., -1, 1]
    normal[..., -1, 1] = points[..., -1, 0] - points[..., -2, 0]
    length = np.sqrt((normal * normal).sum(axis=-1))
    normal *= (widths / np.maximum(length, 1e-6))[..., None]
    return np.concatenate([points + normal, (points - normal)[..., ::-1, :]], axis=-2)


def ellipse(
    centre: np.ndarray, radii: tuple[float, float], degrees: float = 0.0, points: int = 20
) -> np.ndarray:
    """A closed polygon (points, 2) in the shape of an ellipse."""
    angle = np.arange(points) * (2 * np.pi / points)
    turn = degrees * np.pi / 180
    x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
    rotated = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1)
    return np.asarray(centre) + rotated


def smooth(polygon: np.ndarray, rounds: int = 2, closed: bool = True) -> np.ndarray:
    """Chaikin corner cutting ("An algorithm for high-speed curve generation", 1974)."""
    for _ in range(rounds):
        following = np.concatenate([polygon[1:], polygon[:1]]) if closed else polygon[1:]
        current = polygon if closed else polygon[:-1]
        cut = np.empty((2 * len(current), polygon.shape[1]))
        cut[0::2] = 0.75 * current + 0.25 * following
        cut[1::2] = 0.25 * current + 0.75 * following
        polygon = cut if closed else np.concatenate([polygon[:1], cut, polygon[-1:]])
    return polygon
