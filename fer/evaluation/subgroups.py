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

NOT_LEAKED = "not leaked"
UNKNOWN_LEAKS = "all, leak status unknown"
EVERY_ONE = "all, every one was known"
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
        tests += [tested] if tested and _two(own) else [[row] for row in tested]
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
        Rows of `group, images, accuracy` (all images of the group), `basis` (of what follows: `NOT_LEAKED`,
        or all images where it is `UNKNOWN_LEAKS` or the network knew `EVERY_ONE`), `judged` (how many images
        of the group that leaves), `accuracy_judged`, `interval` (95 %, Wilson), `expected` (the accuracy if
        each expression were recognised as in the other groups; where those lack one, as in all),
        `difference` (accuracy_judged − expected), `excess` (right answers beyond what the test expects),
        `p` (two-sided), `recall` (`{class: float}`, None for a class the group lacks) and `support`
        (`{class: int}`). With no image judged they are None or 0, and so is `p` where images or mistakes
        are too few.
    """
    known = codes != UNKNOWN
    labels, codes = labels[known], codes[known]
    correct = predicted[known] == labels
    judged = np.ones(len(labels), bool) if leaked is None else ~np.asarray(leaked, bool)[known]
    basis = UNKNOWN_LEAKS if leaked is None else NOT_LEAKED if judged.any() else EVERY_ONE
    if basis == EVERY_ONE:
        judged[:] = True
    total, right = _counts(labels[judged]), _counts(labels[judged & correct])
    rows: list[dict[str, Any]] = []
    for code, group in enumerate(groups):
        inside = codes == code
        if not inside.any():
            continue
        count, hits = _counts(labels[inside & judged]), _counts(labels[inside & judged & correct])
        row = {"group": group, "images": int(inside.sum()), "accuracy": float(correct[inside].mean())}
        rows.append(row | {"basis": basis} | _judged(hits, count, right, total))
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
        "excess": float(hits.sum() - (count * right / np.maximum(total, 1)).sum()),
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
    if not rows:
        return ["None of these images is in a group."]
    if all(row["p"] is None for row in rows):
        return ["Nothing can be tested: there is one group only, or the images or mistakes are too few."]
    runs = {row["run"]: [other for other in rows if other["run"] == row["run"]] for row in rows}
    told = [
        row
        for row in rows
        if row["p_adjusted"] is not None
        and row["p_adjusted"] < SIGNIFICANCE
        and not (_two(runs[row["run"]]) and row["excess"] > 0)  # the other one says the same
    ]
    said = [_sentence(row) for row in sorted(told, key=lambda row: -abs(row["difference"]))]
    if not said:
        said = ["No group differs by more than chance from what the others predict for its expressions."]
    few = list(dict.fromkeys(row["group"] for row in rows if row["p"] is None))
    return said + ([f"Too few images or mistakes to test: {', '.join(few)}."] if few else [])


def _sentence(row: dict[str, Any]) -> str:
    less = "less" if row["excess"] < 0 else "more"
    share = f"{100 * row['accuracy_judged']:.1f} % of {row['judged']:,} images right"
    p = stated_p(row["p_adjusted"])
    if row["excess"] * row["difference"] < 0:  # groups with other mixes weigh the expressions otherwise
        return (
            f"{row['name']} on {row['group']}: {share}; expression by expression {less} often right than the "
            f"other groups (p {p}), which its mix of expressions hides."
        )
    points = 100 * abs(row["difference"])
    return (
        f"{row['name']} on {row['group']}: {share}, {points:.1f} points {less} than the other groups predict "
        f"for its expressions (p {p})."
    )


def _two(rows: list[dict[str, Any]]) -> bool:
    """Whether one run's rows are of two groups, which share one test."""
    return sum(row["judged"] > 0 for row in rows) == 2
