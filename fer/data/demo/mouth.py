"""Nose and mouth, moved by the action units; t runs from one corner of the mouth to the other."""

import numpy as np

from fer.data.demo.canvas import Mask, ellipse, ribbon
from fer.data.demo.expressions import Units
from fer.data.demo.geometry import Head
from fer.data.demo.portrait import RING, Portrait

_T = np.linspace(-1, 1, 17)
_SEAM = 1 - _T**2
_ROUND = np.sqrt(_SEAM) ** 1.2
_OPEN = 1 - np.abs(_T) ** 2.6
_BOW = 1 - np.abs(_T) ** 1.7 - 0.22 * np.exp(-((_T / 0.16) ** 2))  # the upper lip's
_FULL = 1 - np.abs(_T) ** 2.2
_LIP_COLOUR = (1.12, 0.86, 0.88)  # against skin
Curves = dict[str, np.ndarray]


def draw_nose(art: Portrait) -> None:
    """Nostrils join the lines, the shadow below the shadows; the bridge is left to the light. AU 9 lifts."""
    head, p, wrinkle = art.head, art.head.person, art.units[9]
    wide, lift = p.nose_width * (1 + 0.12 * wrinkle + 0.05 * art.units[12]), 0.045 * wrinkle
    base = 0.445 * p.nose_length
    x = np.array([-0.15, 0.0, 0.15, 0.0]) * wide
    art.shadows.append((head.curve(x, base + np.array([0.03, 0.005, 0.03, 0.12]), 0.05), 0.24))
    hole_y = base + 0.008 - 0.6 * lift + 0.016 * RING[:, 1] - 0.012 * RING[:, 0]
    holes = head.curves((0.070 + 0.038 * RING[:, 0]) * wide, hole_y, 0.12)
    art.lines.extend((hole, 0.64) for hole in holes)


def mouth_curves(head: Head, units: Units) -> Curves:
    """x and the four y curves (17,) of the lips: outer upper, inner upper, inner lower, outer lower.

    AU 12 pulls the corners up and out, 15 down, 20 out; 23 thins the lips, 25 parts them, 26 drops the
    jaw, 10 and 9 lift the upper lip, 16 lowers the lower one, 17 pushes its middle up.
    """
    p = head.person
    wide = (
        0.245 * p.mouth_width + 0.075 * units[12] + 0.085 * units[20] - 0.025 * units[23] + 0.02 * units[16]
    )
    wide -= 0.035 * units[26] * (1 - min(units[12] + units[20], 1))
    corner = p.rest_corner - 0.125 * units[12] + 0.105 * units[15] + 0.02 * units[20] + 0.05 * units[26]
    press = 1 - 0.50 * min(units[23], 1.1) - 0.15 * units[12] - 0.2 * units[20] + 0.10 * units[17]
    rise = 0.055 * units[10] + 0.040 * units[9] + 0.030 * units[12] * min(units[25], 1)
    gap_up = 0.012 * units[25] + 0.5 * rise * (units[25] > 0.15) + 0.01 * units[26]
    gap_down = 0.050 * units[25] + 0.165 * units[26] + 0.055 * units[16]
    middle = p.mouth_height - 0.6 * rise - 0.030 * units[17] + 0.015 * units[26]
    line = middle + (p.mouth_height + corner - middle) * np.abs(_T) ** (1.7 + 0.5 * units[17])
    upper = line - gap_up * _OPEN
    lower = np.maximum(line + gap_down * 0.5 * (_OPEN + _ROUND), upper)
    thick_up = 0.058 * p.lips * max(press, 0.3) * (1 - 0.25 * min(units[9] + units[10], 1))
    thick_low = 0.080 * p.lips * max(press + 0.1 * units[17], 0.3)
    return {
        "x": _T * wide,
        "outer_upper": upper - thick_up * _BOW,
        "inner_upper": upper,
        "inner_lower": lower,
        "outer_lower": lower + thick_low * _FULL,
    }


def shade_chin(art: Portrait, c: Curves) -> None:
    """The shadow of the lower lip, to be engraved with the other shadows."""
    y = c["outer_lower"].max() + 0.045
    art.shadows.append((art.head.curve(0.15 * RING[:, 0], y + 0.032 * RING[:, 1]), 0.22))


def draw_mouth(art: Portrait, c: Curves) -> None:
    """Lips, the opening with teeth and tongue; the line between closed lips joins the lines."""
    head, canvas, p = art.head, art.canvas, art.head.person
    names = ("outer_upper", "inner_upper", "inner_lower", "outer_lower")
    points = head.curve(np.tile(c["x"], 4), np.concatenate([c[name] for name in names]), 0.03)
    top, upper, lower, bottom = points.reshape(4, -1, 2)
    tint = p.lip_darkness * 0.9 * canvas.tone(_LIP_COLOUR)
    lips = [(np.concatenate([top, upper[::-1]]), 1.0), (np.concatenate([lower, bottom[::-1]]), 0.80)]
    canvas.engrave(lips, art.px(0.008), tint)
    canvas.shade([ribbon(0.5 * (lower + bottom)[5:12], art.px(0.014))], 1.16, art.px(0.014))
    gap = float((c["inner_lower"] - c["inner_upper"]).max())
    if gap > 0.012:
        opening = canvas.mask([np.concatenate([upper, lower[::-1]])], art.px(0.005))
        canvas.blend(opening, art.lit((46.0, 20.0, 20.0), lower[8], 0.6), 0.96)
        if opening is not None:
            _draw_teeth(art, c, gap, opening)
    seam, width = (0.5 * (upper + lower), 0.013) if gap < 0.02 else (upper, 0.007)
    art.lines.append((ribbon(seam, art.px(width) * (0.6 + 0.4 * _SEAM)), 0.58))
    art.lines.extend((ellipse(upper[i], (art.px(0.024), art.px(0.020)), points=8), 0.36) for i in (0, -1))


def _draw_teeth(art: Portrait, c: Curves, gap: float, opening: Mask) -> None:
    head, canvas, units, x = art.head, art.canvas, art.units, c["x"]
    upper, lower = c["inner_upper"], c["inner_lower"]
    enamel = art.lit((222.0, 216.0, 206.0), head.at(np.array([[0.0, head.person.mouth_height]]))[0], 0.8)
    both_ways = np.concatenate([x, x[::-1]])

    def band(top: np.ndarray, bottom: np.ndarray, share: float) -> Mask | None:
        outline = head.curve(share * both_ways, np.concatenate([top, bottom[::-1]]))
        return canvas.mask([outline], art.px(0.005), opening)

    show = min(0.02 + 0.085 * units[12] + 0.06 * units[10] + 0.05 * units[20] + 0.03 * units[25], 0.085)
    canvas.blend(band(upper - 0.01, np.minimum(upper + show, lower - 0.004), 0.93), enamel, 0.92)
    low = 0.06 * units[16] + 0.025 * units[20]
    if low > 0.02 and gap > 0.07:
        canvas.blend(band(lower - low, lower + 0.01, 0.85), enamel * 0.85, 0.85)
    elif gap > 0.11:
        middle = head.at(np.array([[0.0, lower.max() - 0.015]]))[0]
        tongue = canvas.mask([ellipse(middle, (art.px(0.13), art.px(0.055)))], art.px(0.02), opening)
        canvas.blend(tongue, art.lit((150.0, 84.0, 84.0), middle, 0.8), 0.8)
