"""Which facial muscles move in which expression: action units (AUs) with graded strength.

Sources: Ekman and Friesen, "Facial Action Coding System" (1978; with Hager, 2002) for the units, and
Friesen and Ekman, "EMFACS-7: Emotional Facial Action Coding System" (1983) for the combinations:
happy 6+12, sad 1+4+15, surprise 1+2+5+26, fear 1+2+4+5+7+20+26, angry 4+5+7+23, disgust 9+15+16.
The variants (an open smile 6+12+25, bared teeth in anger 4+5+7+10+16+25, a raised upper lip in disgust
9+10+17) are the common alternatives in the EMFACS table.
"""

import numpy as np

from fer.emotions import EMOTIONS
from fer.errors import UnknownName

# AU number -> what it does, for readers and for factor files.
ACTION_UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    25: "lips part",
    26: "jaw drop",
}

# Emotion -> variants of (probability, {AU: strength at full intensity}).
_Variants = tuple[tuple[float, dict[int, float]], ...]
PROTOTYPES: dict[str, _Variants] = {
    "angry": (
        (0.60, {4: 1.0, 5: 0.45, 7: 0.8, 23: 1.0, 17: 0.4}),
        (0.25, {4: 1.0, 5: 0.5, 7: 0.7, 10: 0.6, 16: 0.8, 25: 0.8, 26: 0.3}),
        (0.15, {4: 1.0, 5: 0.6, 7: 0.6, 20: 0.2, 25: 0.6, 26: 0.8, 10: 0.3}),
    ),
    "disgust": (
        (0.60, {9: 1.0, 15: 0.7, 16: 0.5, 4: 0.4, 7: 0.4, 25: 0.2}),
        (0.40, {9: 1.0, 10: 0.9, 15: 0.5, 17: 0.6, 4: 0.4, 7: 0.5, 6: 0.3}),
    ),
    "fear": (
        (0.65, {1: 1.0, 2: 0.6, 4: 0.7, 5: 0.9, 7: 0.3, 20: 0.9, 25: 0.6, 26: 0.4}),
        (0.35, {1: 1.0, 2: 0.5, 4: 0.8, 5: 1.0, 7: 0.2, 20: 1.0, 25: 0.8, 26: 0.7, 16: 0.4}),
    ),
    "happy": (
        (0.35, {6: 0.8, 12: 1.0}),
        (0.45, {6: 0.9, 12: 1.0, 25: 1.0}),
        (0.20, {6: 1.0, 12: 1.0, 25: 1.0, 26: 0.6}),
    ),
    "neutral": ((1.0, {}),),
    "sad": (
        (0.55, {1: 1.0, 4: 0.7, 15: 1.0}),
        (0.30, {1: 1.0, 4: 0.6, 15: 0.9, 17: 0.9}),
        (0.15, {1: 1.0, 4: 0.8, 15: 0.9, 7: 0.5, 6: 0.3, 25: 0.4}),
    ),
    "surprise": (
        (0.75, {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.7, 26: 1.0}),
        (0.25, {1: 0.9, 2: 1.0, 5: 1.0, 25: 0.5, 26: 0.4}),
    ),
}

Units = dict[int, float]


def sample_units(emotion: str, rng: np.random.Generator) -> tuple[Units, float]:
    """Strengths of all action units for one face, and the intensity they were drawn with.

    Intensity is in [0.25, 1], skewed to the strong side; each unit deviates from the prototype by about
    25 %, and every face, the neutral ones too, carries weak units that belong to no expression.

    Returns:
        ({AU: strength in [0, 1.2]}, intensity); the intensity of a neutral face is recorded likewise.

    Raises:
        UnknownName: `emotion` is none of the seven.
    """
    if emotion not in PROTOTYPES:
        raise UnknownName("emotion", emotion, EMOTIONS)
    intensity = float(0.25 + 0.75 * rng.beta(2.0, 1.0))
    variants = PROTOTYPES[emotion]
    weights = np.array([weight for weight, _ in variants])
    prototype = variants[int(rng.choice(len(variants), p=weights / weights.sum()))][1]
    spread = np.exp(rng.normal(0.0, 0.25, len(ACTION_UNITS)))
    stray = np.where(rng.random(len(ACTION_UNITS)) < 0.18, rng.uniform(0.05, 0.35, len(ACTION_UNITS)), 0.0)
    units = {}
    for position, unit in enumerate(ACTION_UNITS):
        strength = prototype.get(unit, 0.0) * intensity * spread[position] + stray[position]
        units[unit] = float(min(strength, 1.2))
    return units, intensity


def full_units(emotion: str, intensity: float = 1.0, variant: int = 0) -> Units:
    """The prototype itself, without deviation: for illustrations and tests."""
    if emotion not in PROTOTYPES:
        raise UnknownName("emotion", emotion, EMOTIONS)
    prototype = PROTOTYPES[emotion][variant][1]
    return {unit: prototype.get(unit, 0.0) * intensity for unit in ACTION_UNITS}
