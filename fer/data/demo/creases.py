"""Wrinkles and folds: made by the action units, deepened by age."""

import numpy as np

from fer.data.demo.eyes import lid_curves, lid_fold
from fer.data.demo.portrait import ALONG, FADING, Crease, Portrait, outline_creases

_T2 = 1 - np.linspace(-1, 1, 9) ** 2
_BULGE = np.sin(np.pi * ALONG)


def gather_folds(art: Portrait) -> None:
    """Add the wide folds to the shadows: from the nose round the mouth (nasolabial), beside the nose."""
    p, units = art.head.person, art.units
    smile = 0.75 * units[12] + 0.6 * units[9] + 0.5 * units[10] + 0.3 * units[6]
    x = 0.155 + 0.03 * units[9] + (0.16 + 0.07 * units[12]) * ALONG**0.8 + 0.03 * _BULGE * units[12]
    y = 0.40 - 0.04 * units[9] + (0.26 + 0.03 * units[12] + 0.04 * units[9]) * ALONG
    side = -0.06 + (0.445 * p.nose_length - 0.06) * ALONG
    folds = [
        Crease(x, y, 0.05, 0.36 * min(0.15 + 0.5 * p.age + smile, 1.3)),
        Crease(0.075 + 0.04 * ALONG**2, side, 0.05, 0.13),
    ]
    art.shadows.extend(outline_creases(art, folds))


def gather_creases(art: Portrait) -> None:
    """Add the fine wrinkles to the lines."""
    creases = [*_around_eyes(art), *_around_nose(art), *_forehead(art), *_around_mouth(art)]
    art.lines.extend(outline_creases(art, creases))


def _around_eyes(art: Portrait) -> list[Crease]:
    """The fold of the upper lid, the bag below the eye, crow's feet (AU 6)."""
    p, units = art.head.person, art.units
    x, upper, lower = lid_curves(art.head, units, art.blink)
    above = np.minimum(upper - 0.042, lid_fold(art) + 0.05 - 0.08 * _T2)
    bag = 0.35 * p.age + 0.45 * units[6] + 0.30 * units[7]
    creases = [
        Crease(x, above, 0.020, 0.22 + 0.1 * p.age),
        Crease(x, lower + 0.055 + 0.02 * _T2, 0.028, 0.28 * min(bag, 1.2)),
    ]
    feet = units[6] * 0.8 + 0.4 * p.age
    if feet > 0.25:
        start = p.eye_distance + 0.19
        for rise in (-0.06, 0.0, 0.06):
            y = 0.01 + rise * (0.3 + 0.8 * ALONG)
            creases.append(Crease(start + 0.08 * ALONG, y, 0.016, 0.25 * min(feet, 1.1)))
    return creases


def _around_nose(art: Portrait) -> list[Crease]:
    """The wings, and the wrinkles AU 9 draws across the bridge."""
    p, wrinkle = art.head.person, art.units[9]
    wide = p.nose_width * (1 + 0.12 * wrinkle + 0.05 * art.units[12])
    base = 0.445 * p.nose_length - 0.045 * wrinkle
    wing = Crease((0.125 + 0.035 * _BULGE) * wide, base - 0.09 + 0.11 * ALONG, 0.026, 0.28)
    x = 0.02 + 0.11 * ALONG
    across = [Crease(x, y - 0.5 * x, 0.024, 0.42 * min(wrinkle, 1)) for y in (0.06, 0.13, 0.20)]
    return [wing, *across]


def _forehead(art: Portrait) -> list[Crease]:
    """Three lines that AU 1 and 2 push up, and the frown of AU 4."""
    p, units = art.head.person, art.units
    creases = []
    raised = max(units[1], units[2])
    depth = min(0.55 * p.age + 0.75 * raised, 1.2)
    if depth > 0.15:
        lift = 0.04 * units[2] * ALONG - 0.03 * units[1] * (1 - ALONG) + 0.05 * raised
        for height in (-0.36, -0.44, -0.52):
            y = height + 0.012 * np.cos(7 * ALONG + 20 * height) - lift
            creases.append(Crease(0.34 * ALONG, y, 0.028, 0.27 * depth, FADING))
    frown = units[4] + 0.18 * p.age
    if frown > 0.15:
        creases.append(Crease(0.035 + 0.015 * ALONG, -0.30 + 0.18 * ALONG, 0.028, 0.38 * min(frown, 1.1)))
    return creases


def _around_mouth(art: Portrait) -> list[Crease]:
    """The dimpled chin of AU 17, and the lines AU 15 draws below the corners."""
    units, x = art.units, 0.02 + 0.13 * ALONG
    return [
        Crease(x, 0.93 + 1.4 * x**2, 0.03, 0.25 * min(units[17], 1) * (units[17] > 0.2)),
        Crease(
            0.27 + 0.04 * ALONG, 0.80 + 0.15 * ALONG, 0.035, 0.28 * min(units[15], 1) * (units[15] > 0.15)
        ),
    ]
