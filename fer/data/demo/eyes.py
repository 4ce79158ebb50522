"""Brows and eyes, moved by the action units.

Curves are given for the right half of the face in head units; t runs from the inner to the outer end.
"""

import numpy as np

from fer.data.demo.canvas import Mask, ribbon
from fer.data.demo.expressions import Units
from fer.data.demo.geometry import Head
from fer.data.demo.portrait import ALONG, RING, SIDES, SPINDLE, Portrait

_INNER, _OUTER = (1 - ALONG) ** 1.5, ALONG**1.5
_BROW_ARCH = 0.075 * np.sin(np.pi * (0.12 + 0.72 * ALONG))
_OUTER_RISE = np.sin(np.pi * (0.2 + 0.55 * ALONG)) * ALONG**0.6
_BROW_WIDTH = 0.030 * (0.55 + 0.75 * np.sin(np.pi * (0.22 + 0.58 * ALONG))) * (1 - 0.55 * ALONG**3)
_T = np.linspace(-1, 1, 9)
_T2 = 1 - _T**2
_LID = 1 - np.abs(_T + 0.10 * _T2) ** 2.3
_LASH = (32.0, 26.0, 24.0)


def brow_line(head: Head, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """x, y (9,) of the right brow's middle line: AU 1 lifts its inner end, 2 the outer one, 4 lowers it."""
    p = head.person
    x = 0.115 + 0.385 * ALONG - units[4] * 0.055 * _INNER
    y = p.brow_height + 0.045 - _BROW_ARCH + p.brow_tilt * _T
    y = y - 0.125 * units[1] * _INNER - 0.11 * units[2] * _OUTER_RISE + 0.05 * units[9] * _INNER
    y = y + units[4] * (0.095 * _INNER * (1 - 0.55 * min(units[1], 1.0)) + 0.05)
    return x, y + 0.025 * units[1] * units[4] * _OUTER


def draw_brows(art: Portrait) -> None:
    """Brows as tapered strokes of the hair's colour, softened."""
    p = art.head.person
    x, y = brow_line(art.head, art.units)
    hair = np.minimum(np.array(p.hair) * 0.8, np.array(p.skin) * 0.62)
    brows = art.head.curves(x, y, 0.02)
    tone = 0.5 * (art.lit(hair, brows[0, 4], 0.8) + art.lit(hair, brows[1, 4], 0.8))
    art.canvas.fill(ribbon(brows, art.px(p.brow_thickness) * _BROW_WIDTH), tone, 0.88, art.px(0.016))


def lid_curves(head: Head, units: Units, blink: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, upper y, lower y (9,) of the right eye's opening: AU 5 widens it, 6, 7 and 9 narrow it."""
    p = head.person
    squint = 0.30 * units[7] + 0.42 * units[6] + 0.25 * units[9]
    wide = min(max(1 + 0.70 * units[5] - squint - 0.15 * units[4], 0.12), 1.8)
    low = min(max(1 + 0.30 * units[5] - 0.9 * squint - 0.24 * units[7], 0.1), 1.5)
    x = p.eye_distance + 0.152 * p.eye_size * _T
    hang = min(units[1] * units[4], 1.0) * 0.022  # the outer lid hangs when the inner brow pulls up
    upper = (hang - p.eye_tilt) * _T - 0.072 * p.eye_size * wide * (1 - blink) * _LID
    lower = (0.5 * hang - p.eye_tilt) * _T + 0.046 * p.eye_size * low * _T2
    return x, lower - 0.004 if blink > 0.8 else np.minimum(upper, lower), lower


def shade_sockets(art: Portrait) -> None:
    """The hollows above the eyes, to be engraved with the other shadows."""
    p = art.head.person
    fold = lid_fold(art)
    x, y = p.eye_distance - 0.02 + 0.20 * RING[:, 0], fold + 0.012 + 0.095 * RING[:, 1]
    art.shadows.extend((socket, 0.17) for socket in art.head.curves(x, y))


def lid_fold(art: Portrait) -> float:
    """y of the fold of the upper lid."""
    return -0.085 * art.head.person.eye_size - 0.03 * art.units[5] + 0.03 * art.units[4]


def draw_eyes(art: Portrait) -> None:
    """Whites, irises with pupil and highlight, the shadow of the lid; lashes join the lines."""
    head, canvas = art.head, art.canvas
    x, upper, lower = lid_curves(head, art.units, art.blink)
    points = head.curves(np.concatenate([x, x]), np.concatenate([upper, lower]))
    tops, bottoms = points[:, :9], points[:, 9:]
    opening = canvas.mask(np.concatenate([tops, bottoms[:, ::-1]], axis=1))
    if opening is not None and art.blink < 0.8:
        canvas.blend(opening, art.lit((228.0, 224.0, 222.0), tops[0][4], 0.75), 0.94)
        _draw_irises(art, opening)
        canvas.multiply(canvas.mask(ribbon(tops, art.px(0.026) + 0 * _T), art.px(0.012), opening), 0.62)
    art.lines.extend((line, 0.36) for line in ribbon(bottoms, art.px(0.013) * SPINDLE))
    art.lines.extend((line, 0.86) for line in ribbon(tops, art.px(0.036 * head.person.eye_size) * SPINDLE))


def _draw_irises(art: Portrait, opening: Mask) -> None:
    canvas, p = art.canvas, art.head.person
    gaze_x, y = 0.075 * art.gaze[0], -0.008 + 0.04 * art.gaze[1]
    middles = np.array([[side * p.eye_distance + gaze_x, y] for side in SIDES])
    rims = middles[:, None] + 0.066 * p.eye_size**0.5 * RING
    points = art.head.at(np.concatenate([middles, rims.reshape(-1, 2)]))
    middle = points[:2, None]
    ring = points[2:].reshape(2, -1, 2) - middle
    rim = art.lit(np.array(p.iris) * 0.62, middle[0, 0], 0.7)
    canvas.blend(canvas.mask(middle + ring, within=opening), rim)
    if art.px(1.0) > 80:  # finer than a pixel of the small pictures
        canvas.blend(canvas.mask(middle + 0.72 * ring, within=opening), art.lit(p.iris, middle[0, 0], 0.7))
    canvas.blend(canvas.mask(middle + 0.46 * ring, within=opening), canvas.tone((14.0, 12.0, 12.0)))
    glint = middle + art.px(1.0) * np.array([-0.022, -0.024]) + 0.24 * ring
    canvas.blend(canvas.mask(glint, within=opening), canvas.tone((250.0, 250.0, 250.0)), 0.85)
