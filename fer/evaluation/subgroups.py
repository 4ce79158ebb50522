"""Audit by subgroup: whether a network does worse on some groups than their expressions explain.

Groups differ in which expressions they show, and expressions differ in how hard they are: a group with many
happy faces looks easy. So each group is compared with what the network's recalls over all images predict for
the group's own mix of expressions, and tested within the expressions: Cochran–Mantel–Haenszel, group against
rest, each expression a stratum (Mantel & Haenszel 1959, without continuity correction).
"""

from typing import Any

import numpy as np

from fer.analysis.attributes import UNKNOWN, Attribute
from fer.emotions import EMOTIONS
from fer.evaluation.comparison import Comparison
from fer.evaluation.metrics import accuracy_interval
from fer.evaluation.significance import SIGNIFICANCE, holm, stated_p

FEWEST = 5  # Mantel & Fleiss 1980: how far the count must be able to move for the test to hold


def subgroups(comparison: Comparison, attribute: Attribute) -> list[dict[str, Any]]:
    """`by_subgroup` for every run of a comparison, each row with `run` (its id) and `name` first."""
    codes = attribute.codes[comparison.indices]
    rows = []
    for run, predicted in zip(comparison.runs, comparison.predicted, strict=True):
        leaked = run.leaked(comparison.dataset, comparison.indices, comparison.split)
        rows += [
            {"run": run.id, "name": run.name} | row
            for row in by_subgroup(comparison.labels, predicted, codes, attribute.groups, leaked)
        ]
    return rows


def by_subgroup(
    labels: np.ndarray,
    predicted: np.ndarray,
    codes: np.ndarray,
    groups: tuple[str, ...],
    leaked: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """One network's accuracy in each group that has images.

    Args:
        labels, predicted: (N,) int, index into `EMOTIONS`.
        codes: (N,) int, index into `groups`; -1 for images in no group, which are left out.
        leaked: (N,) bool, True where the network knew the pixels; None when that is unknown.

    Returns:
        Rows of `group, images, accuracy, interval` (95 % bootstrap), `accuracy_without_leaks` (None if
        unknown or nothing is left), `expected` (accuracy the group would have with the recalls over all
        groups), `difference` (accuracy − expected), `p` (two-sided; None where the images are too few for
        the test or there is one group), `p_adjusted` (Holm over the groups; with two groups there is one
        test), `recall` (`{class: float}`, None for a class the group lacks), `support` (`{class: int}`).
    """
    known = codes != UNKNOWN
    labels, codes = labels[known], codes[known]
    correct = predicted[known] == labels
    clean = None if leaked is None else ~leaked[known]
    classes = len(EMOTIONS)
    total = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[correct], minlength=classes)
    rows: list[dict[str, Any]] = []
    for code, group in enumerate(groups):
        inside = codes == code
        images = int(inside.sum())
        if not images:
            continue
        count = np.bincount(labels[inside], minlength=classes)
        hits = np.bincount(labels[inside & correct], minlength=classes)
        accuracy = float(hits.sum() / images)
        expected = float((count * right / np.maximum(total, 1)).sum() / images)
        chosen = inside if clean is None else inside & clean
        rows.append(
            {
                "group": group,
                "images": images,
                "accuracy": accuracy,
                "interval": accuracy_interval(accuracy, images),
                "accuracy_without_leaks": (
                    float(correct[chosen].mean()) if clean is not None and chosen.any() else None
                ),
                "expected": expected,
                "difference": accuracy - expected,
                "p": stratified_test(hits, count, right, total),
                "recall": {
                    emotion: float(hits[n] / count[n]) if count[n] else None
                    for n, emotion in enumerate(EMOTIONS)
                },
                "support": {emotion: int(count[n]) for n, emotion in enumerate(EMOTIONS)},
            }
        )
    tested = [row for row in rows if row["p"] is not None]
    p_values = [float(row["p"]) for row in tested]
    adjusted = p_values if len(rows) == 2 else holm(p_values)
    for row in rows:
        row["p_adjusted"] = None
    for row, p in zip(tested, adjusted, strict=True):
        row["p_adjusted"] = p
    return rows


def stratified_test(
    hits: np.ndarray, count: np.ndarray, right: np.ndarray, total: np.ndarray
) -> float | None:
    """Cochran–Mantel–Haenszel p that a group is right as often as the rest, given the strata.

    Args:
        hits, count: (K,) int, right answers and images of the group in each stratum.
        right, total: (K,) int, the same over all images.

    Returns:
        The two-sided p, or None where the counts are too small for the approximation.
    """
    from scipy.stats import chi2

    used = total > 1
    a, n, m, t = (values[used].astype(float) for values in (hits, count, right, total))
    expected = n * m / t
    variance = n * m * (t - n) * (t - m) / (t**2 * (t - 1))
    room = min((expected - np.maximum(0, n + m - t)).sum(), (np.minimum(n, m) - expected).sum())
    if room < FEWEST:
        return None
    return float(chi2.sf((a.sum() - expected.sum()) ** 2 / variance.sum(), 1))


def findings(rows: list[dict[str, Any]]) -> list[str]:
    """What differs by more than chance, the largest difference first, in sentences; often nothing."""
    told = [row for row in rows if row["p_adjusted"] is not None and row["p_adjusted"] < SIGNIFICANCE]
    return [
        f"{row['name']} on {row['group']}: {100 * row['accuracy']:.1f} % of {row['images']:,} images right, "
        f"{100 * abs(row['difference']):.1f} points {'less' if row['difference'] < 0 else 'more'} than its "
        f"expressions predict (p {stated_p(row['p_adjusted'])})."
        for row in sorted(told, key=lambda row: -abs(row["difference"]))
    ]
