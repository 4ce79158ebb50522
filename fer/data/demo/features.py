"""Eyes, brows, nose, mouth and wrinkles, moved by the action units.

Every function paints one feature of a `Portrait` on skin that is already lit. Curves are given in head units
on the face (x, y), t runs from the inner to the outer end (eyes, brows) or from corner to corner (mouth).
"""

from dataclasses import dataclass

import numpy as np

from fer.data.demo.canvas import Canvas, Mask, ellipse, ribbon
from fer.data.demo.expressions import Units
from fer.data.demo.geometry import Head

SIDES = (-1, 1)
_T = np.linspace(-1, 1, 15)
_ARCH = 1 - np.abs(_T) ** 2.2


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
        column = int(np.clip(at[0], 0, width - 1))
        row = int(np.clip(at[1], 0, height - 1))
        factor = 1 + strength * (float(self.shade[row, column]) - 1)
        return self.canvas.tone(colour) * np.float32(factor)  # type: ignore[arg-type]

    def line(self, x: np.ndarray, y: np.ndarray, width: float, taper: bool = True) -> list[np.ndarray]:
        """Ribbons along a curve of the face on both sides, `width` head units at the thickest."""
        half = (
            self.px(width)
            / 2
            * (
                np.sqrt(np.linspace(0.02, 1, len(x)) * np.linspace(1, 0.02, len(x))) * 2
                if taper
                else np.ones(len(x))
            )
        )
        return [ribbon(self.head.at(np.column_stack([side * x, y])), half) for side in SIDES]


def brow_line(head: Head, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """x, y (N,) of the right brow's middle line from its inner to its outer end."""
    p = head.person
    t = np.linspace(0, 1, 9)
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
    t = np.linspace(0, 1, len(x))
    half = (
        art.px(0.030 * p.brow_thickness)
        * (0.55 + 0.75 * np.sin(np.pi * (0.22 + 0.58 * t)))
        * (1 - 0.55 * t**3)
    )
    bands = [ribbon(art.head.at(np.column_stack([side * x, y]), 0.02), half) for side in SIDES]
    middle = art.head.at(np.array([[0.0, -0.2]]))[0]
    hair = np.minimum(np.array(p.hair) * 0.8, np.array(p.skin) * 0.62)
    art.canvas.fill(bands, art.lit(hair, middle, 0.8), alpha=0.88, blur=art.px(0.016))


def lid_curves(head: Head, units: Units, blink: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, upper y, lower y (N,) of the right eye's opening."""
    p = head.person
    wide = 0.152 * p.eye_size
    squint = 0.30 * units[7] + 0.42 * units[6] + 0.25 * units[9]
    up = 0.072 * p.eye_size * np.clip(1 + 0.70 * units[5] - squint - 0.15 * units[4], 0.12, 1.8) * (1 - blink)
    down = 0.046 * p.eye_size * np.clip(1 + 0.30 * units[5] - 0.9 * squint - 0.6 * units[7] * 0.4, 0.1, 1.5)
    x = p.eye_distance + wide * _T
    tilt = -p.eye_tilt * _T
    sad = min(units[1] * units[4], 1.0) * 0.022 * _T  # outer lid hangs when the inner brow pulls up
    upper = tilt + sad - up * (1 - np.abs(_T + 0.10 * (1 - _T**2)) ** 2.3)
    lower = tilt + sad * 0.5 + down * (1 - _T**2)
    shut = np.minimum(upper, lower)
    return x, np.where(blink > 0.8, lower - 0.004, shut), lower


def draw_eyes(art: Portrait) -> None:
    """Sockets, whites, irises with pupil and highlight, lids and lashes."""
    head, canvas, p = art.head, art.canvas, art.head.person
    x, upper, lower = lid_curves(head, art.units, art.blink)
    crease_y = -0.085 * p.eye_size - 0.03 * art.units[5] + 0.03 * art.units[4]
    socket = [
        head.at(
            np.column_stack(
                [
                    s * (p.eye_distance + 0.19 * np.cos(_ANGLE) - 0.02),
                    crease_y + 0.015 + 0.085 * np.sin(_ANGLE),
                ]
            )
        )
        for s in SIDES
    ]
    canvas.shade(socket, 0.80, blur=art.px(0.055))
    for side in SIDES:
        top = head.at(np.column_stack([side * x, upper]))
        bottom = head.at(np.column_stack([side * x, lower]))
        opening = canvas.mask([np.concatenate([top, bottom[::-1]])], blur=art.px(0.006))
        if opening is None:
            continue
        middle = head.at(np.array([[side * p.eye_distance, 0.0]]))[0]
        canvas.blend(opening, art.lit((228, 224, 222), middle, 0.75), 0.94)
        _iris(art, opening, side)
        under = canvas.mask([ribbon(top, art.px(0.026))], art.px(0.012), within=opening)
        canvas.multiply(under, 0.62)
    lash = np.array([32.0, 26.0, 24.0])
    middle = head.at(np.array([[0.0, 0.0]]))[0]
    canvas.fill(
        art.line(x, upper - 0.006, 0.034 * p.eye_size), art.lit(lash, middle, 0.6), 0.92, art.px(0.006)
    )
    canvas.shade(art.line(x, lower + 0.008, 0.020), 0.66, art.px(0.006))
    crease = np.minimum(upper - 0.042, crease_y + 0.05 * _T**2 - 0.03 * (1 - _T**2))
    canvas.shade(art.line(x, crease, 0.020), 0.68 + 0.1 * (1 - p.age), art.px(0.010))
    bag = 0.35 * p.age + 0.45 * art.units[6] + 0.30 * art.units[7]
    canvas.shade(
        art.line(x, lower + 0.055 + 0.02 * (1 - _T**2), 0.03), 1 - 0.32 * min(bag, 1.2), art.px(0.014)
    )


_ANGLE = np.linspace(0, 2 * np.pi, 18, endpoint=False)


def _iris(art: Portrait, opening: Mask, side: int) -> None:
    head, canvas, p = art.head, art.canvas, art.head.person
    centre = np.array([side * p.eye_distance + 0.075 * art.gaze[0], -0.008 + 0.04 * art.gaze[1]])
    radius = 0.066 * p.eye_size**0.5

    def disc(size: float, shift: tuple[float, float] = (0.0, 0.0)) -> list[np.ndarray]:
        around = centre + np.array(shift) + size * np.column_stack([np.cos(_ANGLE), np.sin(_ANGLE)])
        return [head.at(around)]

    middle = head.at(centre[None])[0]
    canvas.blend(canvas.mask(disc(radius), within=opening), art.lit(np.array(p.iris) * 0.62, middle, 0.7))
    canvas.blend(canvas.mask(disc(radius * 0.72), within=opening), art.lit(p.iris, middle, 0.7))
    canvas.blend(canvas.mask(disc(radius * 0.44), within=opening), canvas.tone((14, 12, 12)))
    canvas.blend(
        canvas.mask(disc(radius * 0.24, (-0.022, -0.024)), within=opening), canvas.tone((250, 250, 250)), 0.85
    )


def draw_nose(art: Portrait) -> None:
    """Nostrils, wings and the shadow below; the bridge is left to the light. AU 9 lifts and wrinkles it."""
    head, canvas, p = art.head, art.canvas, art.head.person
    wide, lift = p.nose_width * (1 + 0.12 * art.units[9] + 0.05 * art.units[12]), 0.045 * art.units[9]
    base = 0.455 * p.nose_length
    shadow = np.array(
        [[-0.15 * wide, base + 0.03], [0, base + 0.005], [0.15 * wide, base + 0.03], [0, base + 0.12]]
    )
    canvas.shade([head.at(shadow, 0.05)], 0.74, art.px(0.03))
    a = np.linspace(0, 1, 9)
    wing_x = (0.125 + 0.045 * np.sin(np.pi * a)) * wide
    wing_y = base - 0.10 + 0.13 * a - lift
    canvas.shade(art.line(wing_x, wing_y, 0.035), 0.66, art.px(0.012))
    holes = []
    for side in SIDES:
        holes.append(
            head.at(
                np.column_stack(
                    [
                        side * (0.075 * wide + 0.042 * wide * np.cos(_ANGLE)),
                        base + 0.012 - 0.6 * lift + 0.020 * np.sin(_ANGLE) - 0.012 * np.cos(_ANGLE),
                    ]
                ),
                0.12,
            )
        )
    canvas.shade(holes, 0.30, art.px(0.009))
    side_y = np.linspace(-0.06, base - 0.12, 8)
    canvas.shade(art.line(0.075 + 0.04 * np.linspace(0, 1, 8) ** 2, side_y, 0.06), 0.86, art.px(0.03))
    if art.units[9] > 0.08:
        for height in (0.02, 0.09, 0.16):
            x = np.linspace(0.02, 0.13, 5)
            canvas.shade(
                art.line(x, height + 0.05 - 0.5 * x, 0.030), 1 - 0.50 * min(art.units[9], 1), art.px(0.009)
            )


def mouth_curves(head: Head, units: Units) -> dict[str, np.ndarray]:
    """x and the four y curves (N,) of the lips: outer upper, inner upper, inner lower, outer lower."""
    p = head.person
    t = np.linspace(-1, 1, 21)
    wide = (
        0.245 * p.mouth_width + 0.075 * units[12] + 0.085 * units[20] - 0.025 * units[23] + 0.02 * units[16]
    )
    wide -= 0.035 * units[26] * (1 - min(units[12] + units[20], 1))
    corner = p.rest_corner - 0.125 * units[12] + 0.105 * units[15] + 0.02 * units[20] + 0.05 * units[26]
    press = 1 - 0.50 * min(units[23], 1.1) - 0.15 * units[12] - 0.2 * units[20] + 0.10 * units[17]
    raise_up = 0.055 * units[10] + 0.040 * units[9] + 0.030 * units[12] * min(units[25], 1)
    gap_up = 0.012 * units[25] + 0.5 * raise_up * (units[25] > 0.15) + 0.01 * units[26]
    gap_down = 0.050 * units[25] + 0.165 * units[26] + 0.055 * units[16]
    middle = p.mouth_height - 0.6 * raise_up - 0.030 * units[17] + 0.015 * units[26]
    bend = np.abs(t) ** (1.7 + 0.5 * units[17])
    line = middle + (p.mouth_height + corner - middle) * bend
    open_shape, round_shape = 1 - np.abs(t) ** 2.6, np.sqrt(np.maximum(1 - t**2, 0)) ** 1.2
    inner_upper = line - gap_up * open_shape
    inner_lower = line + gap_down * (0.5 * open_shape + 0.5 * round_shape)
    bow = 1 - np.abs(t) ** 1.7 - 0.22 * np.exp(-((t / 0.16) ** 2))
    thick_up = 0.058 * p.lips * max(press, 0.3) * (1 - 0.25 * min(units[9] + units[10], 1))
    thick_low = 0.080 * p.lips * max(press + 0.1 * units[17], 0.3)
    return {
        "x": t * wide,
        "outer_upper": inner_upper - thick_up * bow,
        "inner_upper": inner_upper,
        "inner_lower": np.maximum(inner_lower, inner_upper),
        "outer_lower": np.maximum(inner_lower, inner_upper) + thick_low * (1 - np.abs(t) ** 2.2),
    }


def draw_mouth(art: Portrait) -> None:
    """Lips, the opening with teeth and tongue, the line between closed lips, the shadow below."""
    head, canvas, p, units = art.head, art.canvas, art.head.person, art.units
    c = mouth_curves(head, units)
    x = c["x"]
    curve = {name: head.at(np.column_stack([x, y]), 0.03) for name, y in c.items() if name != "x"}
    below = c["outer_lower"].max()
    chin_shadow = [
        ellipse(head.at(np.array([[0.0, below + 0.045]]))[0], (art.px(0.15), art.px(0.030)), head.pose.roll)
    ]
    canvas.shade(chin_shadow, 0.78, art.px(0.025))
    dark = p.lip_darkness
    tint = np.array([dark * 1.12, dark * 0.86, dark * 0.88], np.float32)
    if canvas.pixels.shape[2] == 1:
        tint = np.array([dark * 0.95], np.float32)
    upper_lip = [np.concatenate([curve["outer_upper"], curve["inner_upper"][::-1]])]
    lower_lip = [np.concatenate([curve["inner_lower"], curve["outer_lower"][::-1]])]
    canvas.shade(upper_lip, tint * 0.90, art.px(0.008))
    canvas.shade(lower_lip, tint * 1.06, art.px(0.008))
    mid = 0.5 * (curve["inner_lower"] + curve["outer_lower"])[6:15]
    canvas.shade([ribbon(mid, art.px(0.014))], 1.16, art.px(0.014))
    gap = float((c["inner_lower"] - c["inner_upper"]).max())
    if gap > 0.012:
        opening = canvas.mask(
            [np.concatenate([curve["inner_upper"], curve["inner_lower"][::-1]])], art.px(0.005)
        )
        canvas.blend(opening, art.lit((46, 20, 20), curve["inner_lower"][10], 0.6), 0.96)
        if opening is not None:
            _teeth(art, c, gap, opening)
    line = 0.5 * (curve["inner_upper"] + curve["inner_lower"])
    width = art.px(0.013 if gap < 0.02 else 0.007)
    seam = line if gap < 0.02 else curve["inner_upper"]
    canvas.shade([ribbon(seam, width * (0.6 + 0.4 * _SEAM))], 0.42, art.px(0.006))
    corners = [ellipse(curve["inner_upper"][i], (art.px(0.020), art.px(0.018))) for i in (0, -1)]
    canvas.shade(corners, 0.62, art.px(0.014))


_SEAM = 1 - np.linspace(-1, 1, 21) ** 2


def _teeth(art: Portrait, c: dict[str, np.ndarray], gap: float, opening: Mask) -> None:
    head, canvas, units, x = art.head, art.canvas, art.units, c["x"]
    enamel = art.lit((222, 216, 206), head.at(np.array([[0.0, head.person.mouth_height]]))[0], 0.8)
    show = np.clip(
        0.02 + 0.085 * units[12] + 0.06 * units[10] + 0.05 * units[20] + 0.03 * units[25], 0, 0.085
    )
    bottom = np.minimum(c["inner_upper"] + show, c["inner_lower"] - 0.004)
    band = [
        head.at(
            np.column_stack(
                [np.concatenate([x, x[::-1]]) * 0.93, np.concatenate([c["inner_upper"] - 0.01, bottom[::-1]])]
            ),
            0.0,
        )
    ]
    canvas.blend(canvas.mask(band, art.px(0.005), within=opening), enamel, 0.92)
    low = 0.06 * units[16] + 0.025 * units[20]
    if low > 0.02 and gap > 0.07:
        top = c["inner_lower"] - low
        band = [
            head.at(
                np.column_stack(
                    [
                        np.concatenate([x, x[::-1]]) * 0.85,
                        np.concatenate([top, c["inner_lower"][::-1] + 0.01]),
                    ]
                )
            )
        ]
        canvas.blend(canvas.mask(band, art.px(0.005), within=opening), enamel * 0.85, 0.85)
    elif gap > 0.11:
        tongue = [
            ellipse(
                head.at(np.array([[0.0, c["inner_lower"].max() - 0.015]]))[0], (art.px(0.13), art.px(0.055))
            )
        ]
        canvas.blend(
            canvas.mask(tongue, art.px(0.02), within=opening), art.lit((150, 84, 84), tongue[0][0], 0.8), 0.8
        )


def draw_folds(art: Portrait) -> None:
    """Wrinkles that units make and age deepens: nasolabial, forehead, frown, crow's feet, chin."""
    head, canvas, p, units = art.head, art.canvas, art.head.person, art.units
    a = np.linspace(0, 1, 10)
    smile = 0.75 * units[12] + 0.6 * units[9] + 0.5 * units[10] + 0.3 * units[6]
    reach = 0.66 + 0.03 * units[12]
    x = 0.155 + 0.03 * units[9] + (0.16 + 0.07 * units[12]) * a**0.8 + 0.03 * np.sin(np.pi * a) * units[12]
    y = 0.40 - 0.04 * units[9] + (reach - 0.40) * a
    canvas.shade(art.line(x, y, 0.05), 1 - 0.30 * min(0.25 + 0.5 * p.age + smile, 1.3), art.px(0.016))
    canvas.shade(art.line(x + 0.05, y - 0.02, 0.07), 1 + 0.07 * min(smile, 1.2), art.px(0.03))
    lines = min(0.55 * p.age + 0.75 * max(units[1], units[2]), 1.2)
    if lines > 0.15:
        t = np.linspace(-1, 1, 13)
        for k, height in enumerate((-0.36, -0.44, -0.52)):
            lift = 0.04 * units[2] * np.abs(t) - 0.03 * units[1] * (1 - np.abs(t))
            across = head.at(np.column_stack([0.34 * t, height + 0.012 * np.cos(7 * t + k) - lift]))
            canvas.shade([ribbon(across, art.px(0.014) * (1 - t**2))], 1 - 0.27 * lines, art.px(0.010))
    frown = units[4] + 0.35 * p.age * 0.5
    if frown > 0.15:
        x = np.linspace(0.035, 0.050, 6)
        canvas.shade(
            art.line(x, np.linspace(-0.30, -0.12, 6), 0.030), 1 - 0.42 * min(frown, 1.1), art.px(0.011)
        )
    feet = units[6] * 0.8 + 0.4 * p.age
    if feet > 0.25:
        for rise in (-0.06, 0.0, 0.06):
            x = np.linspace(p.eye_distance + 0.19, p.eye_distance + 0.27, 4)
            canvas.shade(
                art.line(x, 0.01 + rise * np.linspace(0.3, 1.1, 4), 0.016),
                1 - 0.25 * min(feet, 1.1),
                art.px(0.008),
            )
    if units[17] > 0.2:
        x = np.linspace(0.02, 0.15, 6)
        canvas.shade(art.line(x, 0.93 + 1.4 * x**2, 0.03), 1 - 0.25 * min(units[17], 1), art.px(0.014))
    if units[15] > 0.15:
        x = np.linspace(0.27, 0.31, 6)
        canvas.shade(
            art.line(x, np.linspace(0.80, 0.95, 6), 0.035), 1 - 0.28 * min(units[15], 1), art.px(0.014)
        )
