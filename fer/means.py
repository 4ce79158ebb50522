"""Means over seeds and their 95 % intervals by Student's t (Student 1908; Welch 1947 for two groups).

All intervals are half-widths: mean ± interval. A single run has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev, variance
from typing import Any

from scipy.stats import t as student

CONFIDENCE = 0.95
_UPPER = (1 + CONFIDENCE) / 2


@dataclass(frozen=True)
class Difference:
    """How far two groups of runs lie apart.

    Attributes:
        value: mean of one minus mean of the other; over the pairs alone where runs are paired.
        interval: half-width of its 95 % interval; None below two pairs, or two runs on each side.
        pairs: runs with the same seed on both sides; 0 when the groups were compared as they are.
    """

    value: float
    interval: float | None
    pairs: int


def by_seed(values: Sequence[tuple[int | None, float]]) -> dict[Any, float]:
    """`{seed: mean of its values}`, for repeats of a seed are one observation; without a seed each is one."""
    found: dict[Any, list[float]] = {}
    for number, (seed, value) in enumerate(values):
        found.setdefault(("no seed", number) if seed is None else seed, []).append(value)
    return {seed: mean(repeats) for seed, repeats in found.items()}


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of a mean, t(0.975, n − 1) · s / √n; None below two values."""
    if len(values) < 2:
        return None
    return float(student.ppf(_UPPER, len(values) - 1)) * stdev(values) / len(values) ** 0.5


def mean_of(values: Sequence[float]) -> tuple[float, float | None] | None:
    """(mean, half-width of its interval); None without values."""
    return (mean(values), half_width(values)) if values else None


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None] | None:
    """(mean, sample standard deviation); the deviation is None below two values, all of it without any."""
    if not values:
        return None
    return mean(values), stdev(values) if len(values) > 1 else None


def difference(
    mine: Sequence[tuple[int | None, float]], base: Sequence[tuple[int | None, float]]
) -> Difference | None:
    """`mine` minus `base`, both as (seed, value); None where one of them is empty.

    Runs with the same seed share their first weights and the order of their images, so they are paired:
    Student's t over the differences of the pairs. Without a common seed it is Welch's t over both groups,
    whose degrees of freedom are those of Welch and Satterthwaite.
    """
    if not mine or not base:
        return None
    ours, theirs = by_seed(mine), by_seed(base)
    pairs = [ours[seed] - theirs[seed] for seed in ours if isinstance(seed, int) and seed in theirs]
    if pairs:
        return Difference(mean(pairs), half_width(pairs), len(pairs))
    a, b = list(ours.values()), list(theirs.values())
    return Difference(mean(a) - mean(b), _welch(a, b), 0)


def _welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    if len(a) < 2 or len(b) < 2:
        return None
    first, second = variance(a) / len(a), variance(b) / len(b)
    if first + second == 0:
        return 0.0
    freedom = (first + second) ** 2 / (first**2 / (len(a) - 1) + second**2 / (len(b) - 1))
    return float(student.ppf(_UPPER, freedom)) * (first + second) ** 0.5
