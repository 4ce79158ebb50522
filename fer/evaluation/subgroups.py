"""Audit by subgroup: whether a network does worse on some groups than their expressions explain.

Groups differ in which expressions they show, and expressions differ in how hard they are: a group with many
happy faces looks easy. So each group is compared with what the network's recalls on the other groups predict
for the group's own mix of expressions, and tested within the expressions: Cochran–Mantel–Haenszel, group
against rest, each expression a stratum (Mantel & Haenszel 1959, without continuity correction). Both leave
out images whose pixels the network knew, or a group with many copies would look easy.
"""

from typing import Any

import numpy as np

from fer.analysis.attributes import UNKNOWN, Attribute
from fer.emotions import EMOTIONS
from fer.evaluation.comparison import Comparison
from fer.evaluation.significance import SIGNIFICANCE, holm, stated_p

FEWEST = 5  # Mantel & Fleiss 1980: how far the count must be able to move for the test to hold


def subgroups(comparison: Comparison, attribute: Attribute) -> list[dict[str, Any]]:
    """`by_subgroup` for every run of a comparison.

    Returns:
        Its rows with `run` (id) and `name` first and `p_adjusted` (Holm over all tests of all runs; the two
        groups of an attribute that has no more are one test) last. A run is judged by the labels that it
        is judged by elsewhere: its own train and validation images by those of its selection.
    """
    indices, split = comparison.indices, comparison.split
    codes = attribute.codes[indices]
    rows: list[dict[str, Any]] = []
    tests: list[list[dict[str, Any]]] = []
    for run, predicted in zip(comparison.runs, comparison.predicted, strict=True):
        labels = np.asarray(run.labels(comparison.dataset, indices, split), dtype=np.int64)
        leaked = run.leaked(comparison.dataset, indices, split)
        own = [
            {"run": run.id, "name": run.name} | row | {"p_adjusted": None}
            for row in by_subgroup(labels, predicted, codes, attribute.groups, leaked)
        ]
        tested = [row for row in own if row["p"] is not None]
        tests += [tested] if len(own) == 2 and tested else [[row] for row in tested]
        rows += own
    for test, p in zip(tests, holm([float(test[0]["p"]) for test in tests]), strict=True):
        for row in test:
            row["p_adjusted"] = p
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
        Rows of `group, images, accuracy` (all images of the group) and, of the images that are judged (not
        leaked; all, where that is unknown or every image is): `judged` (their number), `accuracy_judged`,
        `interval` (95 %, Wilson), `expected` (the accuracy if each expression were recognised as in the
        other groups; where those lack one, as in all), `difference` (accuracy_judged − expected), `p`
        (two-sided), `recall` (`{class: float}`, None for a class the group lacks) and `support` (`{class:
        int}`). With no image judged they are None or empty, and so is `p` where the images are too few.
    """
    known = codes != UNKNOWN
    labels, codes = labels[known], codes[known]
    correct = predicted[known] == labels
    judged = np.ones(len(labels), bool) if leaked is None else ~np.asarray(leaked, bool)[known]
    if not judged.any():
        judged[:] = True
    total, right = _counts(labels[judged]), _counts(labels[judged & correct])
    rows: list[dict[str, Any]] = []
    for code, group in enumerate(groups):
        inside = codes == code
        if not inside.any():
            continue
        count, hits = _counts(labels[inside & judged]), _counts(labels[inside & judged & correct])
        row = {"group": group, "images": int(inside.sum()), "accuracy": float(correct[inside].mean())}
        rows.append(row | _judged(hits, count, right, total))
    return rows


def _judged(hits: np.ndarray, count: np.ndarray, right: np.ndarray, total: np.ndarray) -> dict[str, Any]:
    """What `by_subgroup` says of the judged images of a group; arguments as in `stratified_test`."""
    from scipy.stats import binomtest

    images = int(count.sum())
    accuracy = expected = interval = None
    if images:
        accuracy = float(hits.sum() / images)
        lacking = total == count  # the other groups have no such image
        rest = np.where(lacking, right, right - hits) / np.maximum(np.where(lacking, total, total - count), 1)
        expected = float((count * rest).sum() / images)
        interval = [
            float(bound) for bound in binomtest(int(hits.sum()), images).proportion_ci(method="wilson")
        ]
    return {
        "judged": images,
        "accuracy_judged": accuracy,
        "interval": interval,
        "expected": expected,
        "difference": None if accuracy is None or expected is None else accuracy - expected,
        "p": stratified_test(hits, count, right, total),
        "recall": {e: float(hits[n] / count[n]) if count[n] else None for n, e in enumerate(EMOTIONS)},
        "support": {e: int(count[n]) for n, e in enumerate(EMOTIONS)},
    }


def _counts(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels, minlength=len(EMOTIONS))


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
    """What differs by more than chance, the largest difference first, or why nothing is said; sentences.

    Args:
        rows: of `subgroups`.
    """
    told = []
    for row in rows:
        others = [other for other in rows if other["run"] == row["run"] and other is not row]
        if row["p_adjusted"] is None or row["p_adjusted"] >= SIGNIFICANCE:
            continue
        if len(others) == 1 and row["difference"] > 0:
            continue  # of two groups the other one says the same
        told.append(row)
    said = [
        f"{row['name']} on {row['group']}: {100 * row['accuracy_judged']:.1f} % of {row['judged']:,} images "
        f"right, {100 * abs(row['difference']):.1f} points {'less' if row['difference'] < 0 else 'more'} "
        f"than the other groups predict for its expressions (p {stated_p(row['p_adjusted'])})."
        for row in sorted(told, key=lambda row: -abs(row["difference"]))
    ]
    tested = sum(row["p"] is not None for row in rows)
    if not tested:
        return ["Nothing can be tested: there is one group only, or the images are too few."]
    if not said:
        said = ["No group differs by more than chance from what the others predict for its expressions."]
    few = list(dict.fromkeys(row["group"] for row in rows if row["p"] is None))
    return said + ([f"Too few images to test: {', '.join(few)}."] if few else [])
