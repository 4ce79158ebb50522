"""Whether a difference between two networks is more than chance.

McNemar 1947 on the images exactly one of two networks gets right, always in its exact binomial form (the
chi-square approximation saves no time here), the paired bootstrap for an interval of the difference, Holm
1979 where more than two runs are compared.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer.evaluation import metrics

SIGNIFICANCE = 0.05
BOOTSTRAP_SAMPLES = 10_000
METRICS = {
    "accuracy": metrics.accuracy,
    "balanced_accuracy": metrics.balanced_accuracy,
    "macro_f1": metrics.macro_f1,
    "weighted_f1": metrics.weighted_f1,
}


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> float:
    """Two-sided exact p that two networks are equally often right.

    Args:
        correct_a, correct_b: (N,) bool on the same images.
    """
    from scipy.stats import binomtest

    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def accuracy_difference_interval(
    correct_a: np.ndarray, correct_b: np.ndarray, level: float = 0.95, seed: int = 0
) -> list[float]:
    """Percentile interval of accuracy a − b under the paired bootstrap, `[low, high]`.

    Resampling images with replacement draws the counts of "only a", "only b" and "same" from a
    multinomial, so it needs only these three counts.
    """
    n = len(correct_a)
    only_a, only_b = (correct_a & ~correct_b).mean(), (correct_b & ~correct_a).mean()
    draws = np.random.default_rng(seed).multinomial(
        n, [only_a, only_b, max(1 - only_a - only_b, 0)], BOOTSTRAP_SAMPLES
    )
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def paired_bootstrap(
    labels: np.ndarray,
    predicted_a: np.ndarray,
    predicted_b: np.ndarray,
    metric: str = "macro_f1",
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Difference of any metric of `METRICS` with its interval: `difference, interval, p`.

    The images are counted by (true, said by a, said by b), and these at most 343 counts are resampled:
    the same distribution as resampling images, much faster. `p` is two-sided: twice the share of samples
    on the other side of 0.
    """
    cells = (labels * 7 + predicted_a) * 7 + predicted_b
    present, counts = np.unique(cells, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), samples)
    true, said_a, said_b = present // 49, present // 7 % 7, present % 7
    differences = np.zeros(samples)
    observed = 0.0
    for said, sign in ((said_a, 1), (said_b, -1)):
        place = np.zeros((len(present), 49))
        place[np.arange(len(present)), true * 7 + said] = 1
        differences += sign * METRICS[metric]((draws @ place).reshape(-1, 7, 7))
        observed += sign * METRICS[metric]((counts @ place).reshape(7, 7))
    low, high = np.quantile(differences, [0.025, 0.975])
    p = min(1.0, 2 * min((differences <= 0).mean(), (differences >= 0).mean()) + 1 / samples)
    return {"difference": float(observed), "interval": [float(low), float(high)], "p": float(p)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: keeps the chance of any false alarm over all tests below the level."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = np.zeros(len(p_values)), 0.0
    for rank, position in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = running
    return [float(p) for p in adjusted]


def verdict(test: dict[str, Any], name_a: str, name_b: str, pairs: int = 1) -> str:
    """What a test means, in one sentence."""
    low, high = (100 * value for value in test["interval"])
    p = test["p_adjusted"]
    stated = f"p {stated_p(p)}" + (f" after correction for {pairs} comparisons" if pairs > 1 else "")
    if p >= SIGNIFICANCE:
        return (
            f"{name_a} and {name_b} are not distinguishable on {test['images']:,} images: "
            f"{100 * test['difference']:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}, {stated}."
        )
    better, worse = (name_a, name_b) if test["difference"] > 0 else (name_b, name_a)
    if test["difference"] < 0:
        low, high = -high, -low
    return (
        f"{better} is better than {worse} by {100 * abs(test['difference']):.1f} points on "
        f"{test['images']:,} images: 95 % interval {low:.1f} to {high:.1f}, {stated}."
    )


def stated_p(p: float) -> str:
    """A p value as it is written in a sentence: three decimals, or what it is below."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
