"""Eyes, brows, nose, mouth and wrinkles, moved by the action units.

Every function paints one feature of a `Portrait` on skin that is already lit. Curves are given in head units
on the face (x, y); t runs from the inner to the outer end (eyes, brows) or from corner to corner (mouth).
"""

from dataclasses import dataclass

import numpy as np

from fer.data.demo.canvas import Canvas, Mask, ellipse, ribbon
from fer.data.demo.expressions import Units
from fer.data.demo.geometry import Head

SIDES = (-1, 1)
_ANGLE = np.arange(16) * (2 * np.pi / 16)
_RING = np.column_stack([np.cos(_ANGLE), np.sin(_ANGLE)])
_A = np.linspace(0, 1, 9)
_SPINDLE = np.sqrt(np.linspace(0.02, 1, 9) * np.linspace(1, 0.02, 9))  # half-widths of tapered lines
_FADING = 0.5 * np.sqrt(np.linspace(1, 0.02, 9))


@dataclass(frozen=True)
class Portrait:
    """What a feature needs: where to paint, whose head, which units, and the light on the canvas.

    shade: (H, W) float32 light on each canvas pixel; gaze: (x, y) of the irises in eye half-widths;
    blink: 0 open … 1 shut.
    """

    canvas: Canvas
    head: Head
    units: Units
    shade: np.ndarray
    gaze: tuple[float, float] = (0.0, 0.0)
    blink: float = 0.0

    def px(self, length: float) -> float:
        return length * self.head.pose.scale

    def lit(self, colour: object, at: np.ndarray, strength: float = 1.0) -> np.ndarray:
        """A tone under the light at a pixel position."""
        height, width = self.shade.shape
        column = min(max(int(at[0]), 0), width - 1)
        row = min(max(int(at[1]), 0), height - 1)
        factor = 1 + strength * (float(self.shade[row, column]) - 1)
        return self.canvas.tone(colour) * np.float32(factor)  # type: ignore[arg-type]


def brow_line(head: Head, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """x, y (N,) of the right brow's middle line from its inner to its outer end."""
    p = head.person
    t = _A
    inner, outer = (1 - t) ** 1.5, t**1.5
    x = 0.115 + 0.385 * t - units[4] * 0.055 * inner
    y = p.brow_height + 0.045 - 0.075 * np.sin(np.pi * (0.12 + 0.72 * t)) + p.brow_tilt * (t - 0.5) * 2
    y = y - 0.125 * units[1] * inner - 0.11 * units[2] * np.sin(np.pi * (0.2 + 0.55 * t)) * t**0.6
    y = y + units[4] * (0.095 * inner * (1 - 0.55 * min(units[1], 1.0)) + 0.05) + 0.05 * units[9] * inner
    return x, y + 0.025 * units[1] * units[4] * outer


def draw_brows(art: Portrait) -> None:
    """Brows as tapered strokes of the hair's colour, softened."""
    p = art.head.person
    x, y = brow_line(art.head, art.units)
    t = _A
    half = (
        art.px(0.030 * p.brow_thickness)
        * (0.55 + 0.75 * np.sin(np.pi * (0.22 + 0.58 * t)))
        * (1 - 0.55 * t**3)
    )
    hair = np.minimum(np.array(p.hair) * 0.8, np.array(p.skin) * 0.62)
    brows = art.head.curves(x, y, 0.02)
    tone = 0.5 * (art.lit(hair, brows[0, 4], 0.8) + art.lit(hair, brows[1, 4], 0.8))
    art.canvas.fill(ribbon(brows, half), tone, alpha=0.88, blur=art.px(0.016))


_EVEN = np.ones(9)
_T = np.linspace(-1, 1, 9)
_T2 = 1 - _T**2
_LID = 1 - np.abs(_T + 0.10 * _T2) ** 2.3


def lid_curves(head: Head, units: Units, blink: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, upper y, lower y (N,) of the right eye's opening."""
    p = head.person
    squint = 0.30 * units[7] + 0.42 * units[6] + 0.25 * units[9]
    up = (
        0.072 * p.eye_size * min(max(1 + 0.70 * units[5] - squint - 0.15 * units[4], 0.12), 1.8) * (1 - blink)
    )
    down = 0.046 * p.eye_size * min(max(1 + 0.30 * units[5] - 0.9 * squint - 0.24 * units[7], 0.1), 1.5)
    x = p.eye_distance + 0.152 * p.eye_size * _T
    hang = min(units[1] * units[4], 1.0) * 0.022  # the outer lid hangs when the inner brow pulls up
    upper = (hang - p.eye_tilt) * _T - up * _LID
    lower = (0.5 * hang - p.eye_tilt) * _T + down * _T2
    return x, lower - 0.004 if blink > 0.8 else np.minimum(upper, lower), lower


def draw_eyes(art: Portrait) -> None:
    """Sockets, whites, irises with pupil and highlight, lashes; both eyes at once."""
    head, canvas, p = art.head, art.canvas, art.head.person
    x, upper, lower = lid_curves(head, art.units, art.blink)
    fold = -0.085 * p.eye_size - 0.03 * art.units[5] + 0.03 * art.units[4]
    round_x, round_y = p.eye_distance - 0.02 + 0.19 * _RING[:, 0], fold + 0.015 + 0.085 * _RING[:, 1]
    points = head.curves(np.concatenate([x, x, round_x]), np.concatenate([upper, lower, round_y]))
    tops, bottoms, sockets = points[:, :9], points[:, 9:18], points[:, 18:]
    canvas.shade(sockets, 0.80, blur=art.px(0.055))
    opening = canvas.mask(np.concatenate([tops, bottoms[:, ::-1]], axis=1))
    if opening is not None and art.blink < 0.8:
        canvas.blend(opening, art.lit((228, 224, 222), tops[0][4], 0.75), 0.94)
        _irises(art, opening)
        canvas.multiply(canvas.mask(ribbon(tops, art.px(0.026) * _EVEN), art.px(0.012), within=opening), 0.62)
    lash = art.lit((32.0, 26.0, 24.0), tops[0][4], 0.6)
    canvas.shade(ribbon(bottoms, art.px(0.012) * _SPINDLE), 0.66)
    canvas.fill(ribbon(tops, art.px(0.034 * p.eye_size) * _SPINDLE), lash, 0.92)


def _irises(art: Portrait, opening: Mask) -> None:
    canvas, p = art.canvas, art.head.person
    gaze_x, y = 0.075 * art.gaze[0], -0.008 + 0.04 * art.gaze[1]
    middles = np.array([[side * p.eye_distance + gaze_x, y] for side in SIDES])
    rims = middles[:, None] + 0.066 * p.eye_size**0.5 * _RING
    middle = art.head.at(middles)[:, None]
    ring = art.head.at(rims.reshape(-1, 2)).reshape(2, -1, 2) - middle
    canvas.blend(
        canvas.mask(middle + ring, within=opening), art.lit(np.array(p.iris) * 0.62, middle[0, 0], 0.7)
    )
    if art.px(1.0) > 80:  # finer than a pixel of the small pictures
        canvas.blend(canvas.mask(middle + 0.72 * ring, within=opening), art.lit(p.iris, middle[0, 0], 0.7))
    canvas.blend(canvas.mask(middle + 0.46 * ring, within=opening), canvas.tone((14, 12, 12)))
    glint = middle + art.px(1.0) * np.array([-0.022, -0.024]) + 0.24 * ring
    canvas.blend(canvas.mask(glint, within=opening), canvas.tone((250, 250, 250)), 0.85)


def draw_nose(art: Portrait) -> None:
    """Nostrils, wings and the shadow below; the bridge is left to the light. AU 9 lifts them."""
    head, canvas, p, wrinkle = art.head, art.canvas, art.head.person, art.units[9]
    wide, lift = p.nose_width * (1 + 0.12 * wrinkle + 0.05 * art.units[12]), 0.045 * wrinkle
    base = 0.445 * p.nose_length
    shadow = np.array(
        [[-0.15 * wide, base + 0.03], [0, base + 0.005], [0.15 * wide, base + 0.03], [0, base + 0.12]]
    )
    canvas.shade([head.at(shadow, 0.05)], 0.76, art.px(0.03))
    holes = head.curves(
        0.070 * wide + 0.038 * wide * _RING[:, 0],
        base + 0.008 - 0.6 * lift + 0.016 * _RING[:, 1] - 0.012 * _RING[:, 0],
        0.12,
    )
    canvas.shade(holes, 0.36, art.px(0.009))


_M = np.linspace(-1, 1, 17)
_SEAM = 1 - _M**2
_ROUND = np.sqrt(_SEAM) ** 1.2
_OPEN = 1 - np.abs(_M) ** 2.6
_BOW = 1 - np.abs(_M) ** 1.7 - 0.22 * np.exp(-((_M / 0.16) ** 2))
_FULL = 1 - np.abs(_M) ** 2.2


def mouth_curves(head: Head, units: Units) -> dict[str, np.ndarray]:
    """x and the four y curves (N,) of the lips: outer upper, inner upper, inner lower, outer lower."""
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
    line = middle + (p.mouth_height + corner - middle) * np.abs(_M) ** (1.7 + 0.5 * units[17])
    upper = line - gap_up * _OPEN
    lower = np.maximum(line + gap_down * 0.5 * (_OPEN + _ROUND), upper)
    thick_up = 0.058 * p.lips * max(press, 0.3) * (1 - 0.25 * min(units[9] + units[10], 1))
    thick_low = 0.080 * p.lips * max(press + 0.1 * units[17], 0.3)
    return {
        "x": _M * wide,
        "outer_upper": upper - thick_up * _BOW,
        "inner_upper": upper,
        "inner_lower": lower,
        "outer_lower": lower + thick_low * _FULL,
    }


def draw_mouth(art: Portrait) -> None:
    """Lips, the opening with teeth and tongue, the line between closed lips, the shadow below."""
    head, canvas, p = art.head, art.canvas, art.head.person
    c = mouth_curves(head, art.units)
    names = ("outer_upper", "inner_upper", "inner_lower", "outer_lower")
    points = head.curve(np.tile(c["x"], 4), np.concatenate([c[name] for name in names]), 0.03)
    top, upper, lower, bottom = points.reshape(4, -1, 2)
    under = bottom[8] + art.px(0.045) * np.array([0, 1])
    canvas.shade([ellipse(under, (art.px(0.15), art.px(0.030)), head.pose.roll)], 0.78, art.px(0.025))
    tint = (
        np.array([1.12, 0.86, 0.88], np.float32)
        if canvas.pixels.shape[2] == 3
        else np.array([0.95], np.float32)
    )
    tint = 1 - (1 - p.lip_darkness * tint)
    canvas.shade([np.concatenate([top, upper[::-1]])], tint * 0.90, art.px(0.008))
    canvas.shade([np.concatenate([lower, bottom[::-1]])], tint * 1.06, art.px(0.008))
    canvas.shade([ribbon(0.5 * (lower + bottom)[5:12], art.px(0.014))], 1.16, art.px(0.014))
    gap = float((c["inner_lower"] - c["inner_upper"]).max())
    if gap > 0.012:
        opening = canvas.mask([np.concatenate([upper, lower[::-1]])], art.px(0.005))
        canvas.blend(opening, art.lit((46, 20, 20), lower[8], 0.6), 0.96)
        if opening is not None:
            _teeth(art, c, gap, opening)
    seam, width = (0.5 * (upper + lower), 0.013) if gap < 0.02 else (upper, 0.007)
    canvas.shade([ribbon(seam, art.px(width) * (0.6 + 0.4 * _SEAM))], 0.42, art.px(0.006))
    canvas.shade(
        [ellipse(upper[i], (art.px(0.020), art.px(0.018)), points=8) for i in (0, -1)], 0.62, art.px(0.014)
    )


def _teeth(art: Portrait, c: dict[str, np.ndarray], gap: float, opening: Mask) -> None:
    head, canvas, units, x = art.head, art.canvas, art.units, c["x"]
    enamel = art.lit((222, 216, 206), head.at(np.array([[0.0, head.person.mouth_height]]))[0], 0.8)
    show = min(0.02 + 0.085 * units[12] + 0.06 * units[10] + 0.05 * units[20] + 0.03 * units[25], 0.085)
    both_ways = np.concatenate([x, x[::-1]])

    def band(top: np.ndarray, bottom: np.ndarray, share: float) -> Mask | None:
        return canvas.mask(
            [head.curve(share * both_ways, np.concatenate([top, bottom[::-1]]))], art.px(0.005), opening
        )

    canvas.blend(
        band(c["inner_upper"] - 0.01, np.minimum(c["inner_upper"] + show, c["inner_lower"] - 0.004), 0.93),
        enamel,
        0.92,
    )
    low = 0.06 * units[16] + 0.025 * units[20]
    if low > 0.02 and gap > 0.07:
        canvas.blend(band(c["inner_lower"] - low, c["inner_lower"] + 0.01, 0.85), enamel * 0.85, 0.85)
    elif gap > 0.11:
        tongue = ellipse(
            head.at(np.array([[0.0, c["inner_lower"].max() - 0.015]]))[0], (art.px(0.13), art.px(0.055))
        )
        canvas.blend(
            canvas.mask([tongue], art.px(0.02), opening), art.lit((150, 84, 84), tongue[0], 0.8), 0.8
        )


@dataclass(frozen=True)
class Crease:
    """A line on the right half of the face, mirrored to the left: 9 points in head units.

    width: at its thickest; depth: share of the light it takes, 0–1; shape: (9,) relative width.
    """

    x: np.ndarray
    y: np.ndarray
    width: float
    depth: float
    shape: np.ndarray


def draw_creases(art: Portrait) -> None:
    """All lines of skin at once: fine ones sharp, wide ones soft."""
    fine, soft = [*_eye_creases(art), *_nose_creases(art), *_folds(art)], _soft_folds(art)
    for creases, blur in ((fine, 0.010), (soft, 0.026)):
        seen = [crease for crease in creases if crease.depth > 0.04]
        if not seen:
            continue
        x, y = np.concatenate([c.x for c in seen]), np.concatenate([c.y for c in seen])
        half = art.px(1.0) * np.array([c.width for c in seen])[:, None] * np.stack([c.shape for c in seen])
        lines = art.head.curves(x, y).reshape(2, len(seen), 9, 2)
        strengths = [min(c.depth, 1.0) for c in seen]
        art.canvas.engrave(ribbon(lines, half).reshape(-1, 18, 2), strengths * 2, art.px(blur))


def _eye_creases(art: Portrait) -> list[Crease]:
    """The fold of the upper lid and the bag below the eye."""
    p, units = art.head.person, art.units
    x, upper, lower = lid_curves(art.head, units, art.blink)
    fold = -0.085 * p.eye_size - 0.03 * units[5] + 0.03 * units[4]
    above = np.minimum(upper - 0.042, fold + 0.05 * _T**2 - 0.03 * _T2)
    bag = 0.35 * p.age + 0.45 * units[6] + 0.30 * units[7]
    return [
        Crease(x, above, 0.020, 0.22 + 0.1 * p.age, _SPINDLE),
        Crease(x, lower + 0.055 + 0.02 * _T2, 0.028, 0.28 * min(bag, 1.2), _SPINDLE),
    ]


def _nose_creases(art: Portrait) -> list[Crease]:
    """The wings, and the wrinkles AU 9 draws across the bridge."""
    p, wrinkle = art.head.person, art.units[9]
    wide = p.nose_width * (1 + 0.12 * wrinkle + 0.05 * art.units[12])
    base = 0.445 * p.nose_length - 0.045 * wrinkle
    wing = Crease((0.125 + 0.035 * np.sin(np.pi * _A)) * wide, base - 0.09 + 0.11 * _A, 0.026, 0.28, _SPINDLE)
    x = 0.02 + 0.11 * _A
    across = [
        Crease(x, height + 0.04 - 0.5 * x, 0.024, 0.42 * min(wrinkle, 1), _SPINDLE)
        for height in (0.02, 0.09, 0.16)
    ]
    return [wing, *across]


def _soft_folds(art: Portrait) -> list[Crease]:
    """From the nose round the mouth (nasolabial), and the sides of the nose."""
    p, units = art.head.person, art.units
    smile = 0.75 * units[12] + 0.6 * units[9] + 0.5 * units[10] + 0.3 * units[6]
    x = 0.155 + 0.03 * units[9] + (0.16 + 0.07 * units[12]) * _A**0.8 + 0.03 * np.sin(np.pi * _A) * units[12]
    y = 0.40 - 0.04 * units[9] + (0.26 + 0.03 * units[12] + 0.04 * units[9]) * _A
    base = 0.445 * p.nose_length
    return [
        Crease(x, y, 0.05, 0.36 * min(0.15 + 0.5 * p.age + smile, 1.3), _SPINDLE),
        Crease(0.075 + 0.04 * _A**2, -0.06 + (base - 0.06) * _A, 0.05, 0.13, _SPINDLE),
    ]


def _folds(art: Portrait) -> list[Crease]:
    """Forehead, frown, crow's feet, chin and below the mouth's corners: made by units, deepened by age."""
    p, units = art.head.person, art.units
    creases = []
    lines = min(0.55 * p.age + 0.75 * max(units[1], units[2]), 1.2)
    if lines > 0.15:
        lift = 0.04 * units[2] * _A - 0.03 * units[1] * (1 - _A)
        for height in (-0.36, -0.44, -0.52):
            y = height + 0.012 * np.cos(7 * _A + 20 * height) - lift - 0.05 * max(units[1], units[2])
            creases.append(Crease(0.34 * _A, y, 0.028, 0.27 * lines, _FADING))
    frown = units[4] + 0.18 * p.age
    if frown > 0.15:
        creases.append(Crease(0.035 + 0.015 * _A, -0.30 + 0.18 * _A, 0.028, 0.38 * min(frown, 1.1), _SPINDLE))
    feet = units[6] * 0.8 + 0.4 * p.age
    if feet > 0.25:
        for rise in (-0.06, 0.0, 0.06):
            y = 0.01 + rise * (0.3 + 0.8 * _A)
            creases.append(
                Crease(p.eye_distance + 0.19 + 0.08 * _A, y, 0.016, 0.25 * min(feet, 1.1), _SPINDLE)
            )
    if units[17] > 0.2:
        x = 0.02 + 0.13 * _A
        creases.append(Crease(x, 0.93 + 1.4 * x**2, 0.03, 0.25 * min(units[17], 1), _SPINDLE))
    if units[15] > 0.15:
        creases.append(Crease(0.27 + 0.04 * _A, 0.80 + 0.15 * _A, 0.035, 0.28 * min(units[15], 1), _SPINDLE))
    return creases
