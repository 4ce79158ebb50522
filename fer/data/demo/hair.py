"""Hair and beards: their texture, how they fall over the forehead, caps."""

import functools

import cv2
import numpy as np

from fer.data.demo.canvas import Mask, ribbon
from fer.data.demo.portrait import Portrait

# How thick the hair of each style lies on the skull, and how far down, in head units.
LONG = ("long", "fringe")
VOLUME = {
    "short": 0.07,
    "parted": 0.10,
    "long": 0.12,
    "fringe": 0.12,
    "curly": 0.24,
    "receding": 0.05,
    "cap": 0.11,
}
DOWN = {
    "short": 0.05,
    "parted": 0.10,
    "long": 0.35,
    "fringe": 0.35,
    "curly": 0.20,
    "receding": 0.12,
    "cap": 0.05,
}


@functools.cache
def _streaks(fine: float) -> np.ndarray:
    """(512, 512) float32 around 1: strands that run down the picture, `fine` the share of thin ones."""
    noise = np.random.default_rng(11).normal(0, 1, (512, 512)).astype(np.float32)
    thin = cv2.GaussianBlur(noise, (0, 0), sigmaX=1.2, sigmaY=14)
    coarse = cv2.GaussianBlur(noise, (0, 0), sigmaX=6, sigmaY=34)
    return np.clip(1 + fine * thin / thin.std() + 0.11 * coarse / coarse.std(), 0.5, 1.6)


@functools.cache
def _curls() -> np.ndarray:
    """(512, 512) float32 around 1: small blobs without direction."""
    noise = np.random.default_rng(12).normal(0, 1, (512, 512)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 4) - cv2.GaussianBlur(noise, (0, 0), 8)
    return np.clip(1 + 0.28 * blobs / blobs.std(), 0.4, 1.7)


def paint_hair(
    art: Portrait, mask: Mask | None, colour: object, alpha: float = 1.0, curly: bool = False
) -> None:
    """Blend hair into a mask: its colour, the light and a texture of strands."""
    if mask is None:
        return
    texture = _curls() if curly else _streaks(0.15 if art.px(1.0) > 80 else 0.03)
    height, width = mask.values.shape
    zoom = 100 / art.head.pose.scale  # texture pixels per canvas pixel: strands scale with the head
    rows = (np.arange(height) * zoom).astype(int) % 512
    columns = (np.arange(width) * zoom + art.head.person.seed % 400).astype(int) % 512
    light = 0.25 + 0.70 * art.shade[mask.rows, mask.columns]
    strands = (texture[rows[:, None], columns] * light)[..., None]
    art.canvas.blend(mask, strands * art.canvas.tone(colour), alpha)  # type: ignore[arg-type]


_DOWNWARDS = np.linspace(0, 1, 10)


def draw_front_hair(art: Portrait) -> None:
    """What falls over the forehead and the cheeks: hairline, fringe, parting, locks, cap."""
    head, canvas, p = art.head, art.canvas, art.head.person
    if p.style == "bald":
        return
    line = head.hairline
    shadow = canvas.mask([ribbon(head.at(line + np.array([0, 0.02])), art.px(0.05))], art.px(0.035))
    canvas.multiply(shadow, 0.80)
    edge = 0.03 if p.style == "receding" else 0.07
    jagged = 0.03 * np.sin(np.arange(len(line)) * 2.4 + p.seed)
    low = line + np.column_stack([np.zeros(len(line)), jagged - 0.01])
    if p.style == "fringe":
        low[:, 1] = -0.335 + 0.5 * jagged + 0.10 * np.abs(line[:, 0])
    elif p.style == "parted":
        side = 1 if p.seed % 2 else -1
        low[:, 1] += 0.20 * np.clip(side * line[:, 0] + 0.15, 0, 0.6)
    elif p.style == "cap":
        low[:, 1] = -0.40 + 0.05 * np.abs(line[:, 0])
    top = line + np.array([0.0, -0.30])
    band = np.concatenate([head.at(low, edge), head.at(top * np.array([1.05, 1.0]), 0.1)[::-1]])
    if p.style == "cap":
        tint = (40 + 7 * (p.seed % 20), 50 + 5 * (p.seed % 31), 60 + 6 * (p.seed % 23))
        _paint_cap(art, tint, low)
        return
    paint_hair(art, canvas.mask([band], art.px(0.022)), p.hair, curly=p.style == "curly")
    if p.style in LONG:
        wave = 0.03 * np.sin(6 * _DOWNWARDS + p.seed % 7)
        x = 0.70 + 0.06 * np.sin(np.pi * _DOWNWARDS) + wave
        locks = ribbon(head.curves(x, -0.55 + 1.75 * _DOWNWARDS), art.px(0.13))
        for lock in locks:
            paint_hair(art, canvas.mask([lock], art.px(0.03)), p.hair)


def _paint_cap(art: Portrait, tint: tuple[float, float, float], low: np.ndarray) -> None:
    head, canvas = art.head, art.canvas
    upper = head.cap(0.13, -0.45)
    brim_y = head.at(low, 0.06)
    middle = head.at(np.array([[0.0, -0.55]]))[0]
    crown = [
        point
        for point in upper
        if np.dot(point - middle, head.project(np.array([[0, -1.0, 0.0]]))[0] - middle) > 0
    ]
    shape = cv2.convexHull(np.concatenate([np.array(crown), brim_y]).astype(np.float32))[:, 0]
    cover = canvas.mask([shape], art.px(0.01))
    if cover is not None:
        light = (0.3 + 0.7 * art.shade[cover.rows, cover.columns])[..., None]
        canvas.blend(cover, light * canvas.tone(tint))
    canvas.shade([ribbon(brim_y, art.px(0.03))], 0.7, art.px(0.012))


_MOUSTACHE = np.sqrt(np.linspace(0.6, 0.05, 8))


def draw_beard(art: Portrait) -> None:
    """A shaded jaw and moustache, thicker with the person's beard."""
    head, canvas, p = art.head, art.canvas, art.head.person
    jaw = head.jaw
    if p.beard > 0:
        outer = head.project(head.contour[3:-3] + np.array([0, 0.0, 0.0]))
        inner = np.array(
            [
                [-0.60, 0.42],
                [-0.44, 0.60],
                [-0.34, 0.80],
                [-0.20, 0.90 + jaw],
                [0.0, 0.92 + jaw],
                [0.20, 0.90 + jaw],
                [0.34, 0.80],
                [0.44, 0.60],
                [0.60, 0.42],
            ]
        )
        shape = np.concatenate([outer, head.at(inner * np.array([p.cheeks, 1]))])
        paint_hair(art, canvas.mask([shape], art.px(0.04)), np.array(p.hair) * 0.9, 0.25 + 0.6 * p.beard)
    if p.moustache > 0:
        rise = p.mouth_height - 0.06 - 0.03 * art.units[12] - 0.05 * art.units[10] - 0.03 * art.units[9]
        x = np.linspace(0, 0.28, 8)
        y = rise - 0.035 + (0.28 * x + 0.9 * x**2) * (1 - 0.9 * min(art.units[12], 1))
        paint_hair(
            art,
            canvas.mask(ribbon(head.curves(x, y), art.px(0.085) * _MOUSTACHE), art.px(0.014)),
            np.array(p.hair) * 0.9,
            0.3 + 0.6 * p.moustache,
        )
