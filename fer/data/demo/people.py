"""The people of the demo data set: what makes one face differ from another, expression aside."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RGB = tuple[float, float, float]
HAIR_STYLES = ("short", "parted", "long", "fringe", "curly", "bald", "receding", "cap")
_SKIN_DARK, _SKIN_LIGHT = np.array([88.0, 58.0, 44.0]), np.array([238.0, 204.0, 182.0])
_HAIR_COLOURS: tuple[tuple[float, RGB], ...] = (
    (0.34, (28, 22, 20)),
    (0.28, (70, 48, 34)),
    (0.16, (125, 92, 58)),
    (0.12, (184, 152, 108)),
    (0.10, (168, 166, 164)),
)


@dataclass(frozen=True)
class Person:
    """One identity. Sizes are factors around 1 unless a unit is given; positions are head units."""

    seed: int
    skin: RGB
    hair: RGB
    style: str
    forehead: float
    cheeks: float
    jaw: float
    length: float
    hairline: float  # y of its middle
    eye_distance: float  # from the middle to a pupil
    eye_size: float
    eye_tilt: float  # rise of the outer corner
    iris: RGB
    brow_height: float
    brow_thickness: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    mouth_width: float
    mouth_height: float  # y of the mouth
    lips: float
    lip_darkness: float
    rest_corner: float  # how the mouth corners lie at rest
    beard: float  # 0 none … 1 full
    moustache: float
    age: float  # 0 young … 1 old
    glasses: str  # '', 'thin', 'thick', 'sun'


@lru_cache(maxsize=4096)
def sample_person(seed: int) -> Person:
    """The person with this seed: the same seed is always the same person."""
    rng = np.random.default_rng([seed, 7_001])
    tone = rng.beta(2.2, 1.4)
    skin = _SKIN_DARK + (_SKIN_LIGHT - _SKIN_DARK) * tone + rng.normal(0, 2, 3)
    weights = np.array([weight for weight, _ in _HAIR_COLOURS])
    if tone < 0.35:
        weights = weights * np.array([3.0, 0.6, 0.1, 0.05, 0.8])
    hair = np.array(_HAIR_COLOURS[int(rng.choice(len(weights), p=weights / weights.sum()))][1])
    hair = hair + rng.normal(0, 8) + rng.normal(0, 2, 3)
    male = rng.random() < 0.5
    style_weights = (
        np.array([0.34, 0.18, 0.04, 0.06, 0.10, 0.10, 0.12, 0.06])
        if male
        else np.array([0.06, 0.14, 0.42, 0.18, 0.14, 0.00, 0.02, 0.04])
    )
    age = float(rng.beta(1.3, 2.2))
    bearded = male and rng.random() < 0.35
    glasses = str(rng.choice(["", "thin", "thick", "sun"], p=[0.82, 0.09, 0.075, 0.015]))

    deviations = iter(np.clip(rng.normal(size=24), -2.2, 2.2).tolist())

    def around(middle: float, spread: float) -> float:
        return float(middle + spread * next(deviations))

    return Person(
        seed=seed,
        skin=tuple(float(v) for v in np.clip(skin, 35, 245)),  # type: ignore[arg-type]
        hair=tuple(
            float(v) for v in np.clip(np.array(hair) + rng.normal(0, 8) + rng.normal(0, 2, 3), 8, 235)
        ),  # type: ignore[arg-type]
        style=str(rng.choice(HAIR_STYLES, p=style_weights)),
        forehead=around(1.0, 0.035),
        cheeks=around(1.0, 0.05),
        jaw=around(1.04 if male else 0.94, 0.07),
        length=around(0.96, 0.04),
        hairline=around(-0.60, 0.06) - 0.05 * age,
        eye_distance=around(0.325, 0.014),
        eye_size=around(1.0 if male else 1.08, 0.08),
        eye_tilt=around(0.012, 0.016),
        iris=[(58.0, 38.0, 26.0), (92.0, 66.0, 40.0), (96.0, 122.0, 140.0), (98.0, 112.0, 84.0)][
            int(rng.choice(4, p=[0.5, 0.25, 0.15, 0.1]))
        ],
        brow_height=around(-0.215 if male else -0.235, 0.022),
        brow_thickness=around(1.15 if male else 0.80, 0.18),
        brow_tilt=around(0.0, 0.016),
        nose_length=around(1.0, 0.05),
        nose_width=around(1.0, 0.10),
        mouth_width=around(1.0, 0.07),
        mouth_height=around(0.725, 0.022),
        lips=around(0.88 if male else 1.15, 0.16),
        lip_darkness=float(rng.uniform(0.68, 0.86) if male else rng.uniform(0.50, 0.80)),
        rest_corner=around(0.0, 0.018),
        beard=float(rng.uniform(0.25, 1.0)) if bearded else 0.0,
        moustache=float(rng.uniform(0.3, 1.0)) if bearded or (male and rng.random() < 0.07) else 0.0,
        age=age,
        glasses=glasses,
    )
