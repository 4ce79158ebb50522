"""Several runs on the same images: aligned, tested pair by pair, and where they confuse what.

Needs no TensorFlow unless predictions have to be computed: the Compare page imports this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import metrics
from fer.evaluation.predictions import evaluate_run
from fer.evaluation.report import NotEvaluated, stored_predictions
from fer.evaluation.significance import accuracy_difference_interval, holm, mcnemar, verdict
from fer.evaluation.trained import TrainedRun, trained_run

MCNEMAR = "McNemar, exact binomial"


@dataclass(frozen=True)
class Comparison:
    """R runs on the N images that all of them can be judged on.

    Attributes:
        runs: R runs.
        indices: (N,) int64 into `dataset`.
        labels: (N,) int64, the data set's.
        probabilities: (R, N, 7) float32.
        left_out: images of the split that some run cannot be judged on (other split, removed class).
    """

    runs: tuple[TrainedRun, ...]
    dataset: Dataset
    split: str
    indices: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    left_out: int

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(R, N) int64 predicted classes."""
        return self.probabilities.argmax(axis=2)

    @cached_property
    def correct(self) -> np.ndarray:
        """(R, N) bool."""
        return self.predicted == self.labels

    @cached_property
    def confidence(self) -> np.ndarray:
        """(R, N) float32 probability of the predicted class."""
        return self.probabilities.max(axis=2)

    @cached_property
    def loss(self) -> np.ndarray:
        """(R, N) float: negative log probability of the true class, in nats."""
        true = self.probabilities[:, np.arange(len(self)), self.labels]
        return -np.log(np.clip(true, metrics.SMALLEST_PROBABILITY, 1))

    @cached_property
    def disagreement(self) -> np.ndarray:
        """(N,) float ≥ 0: generalised Jensen–Shannon divergence of the runs' answers, in nats."""
        return np.maximum(
            _entropy(self.probabilities.mean(axis=0)) - _entropy(self.probabilities).mean(axis=0), 0
        )

    @cached_property
    def confusions(self) -> np.ndarray:
        """(R, 7, 7) int64, true classes in rows."""
        return np.stack([metrics.confusion_matrix(self.labels, row) for row in self.predicted])


def compare(
    runs: Sequence[Any], dataset: Dataset | None = None, split: str = "test", compute: bool = False
) -> Comparison:
    """Align runs on the images of `split` that every one of them knows the class of.

    Args:
        runs: run directories, or things with `directory`.
        dataset: None for the one they were all trained on.
        compute: predict what is not stored (imports TensorFlow); False raises `NotEvaluated`.

    Raises:
        UserError: the runs have no data set or no images in common; a run is broken or not evaluated.
    """
    opened = tuple(trained_run(run) for run in runs)
    if not opened:
        raise UserError("No run is chosen; choose at least one finished run.")
    dataset = dataset or common_dataset(opened)
    per_run = [run.indices(dataset, split) for run in opened]
    shared = per_run[0]
    for indices in per_run[1:]:
        shared = np.intersect1d(shared, indices)
    if len(shared) == 0:
        names = ", ".join(run.name for run in opened)
        raise UserError(
            f"The runs {names} share no image of split {split!r}: they were split differently. "
            "Compare them on PublicTest or on another data set."
        )
    probabilities = []
    for run, indices in zip(opened, per_run, strict=True):
        stored = stored_predictions(run, dataset, indices)
        if stored is None and not compute:
            raise NotEvaluated(
                f"Run {run.name!r} is not evaluated on split {split!r} of data set {dataset.name!r} yet."
            )
        stored = stored or evaluate_run(run, dataset, (split,))
        answers = stored.of(shared)
        assert answers is not None, "the predictions cover all images of the split"
        probabilities.append(answers)
    return Comparison(
        runs=opened,
        dataset=dataset,
        split=split,
        indices=shared,
        labels=np.asarray(dataset.labels)[shared].astype(np.int64),
        probabilities=np.stack(probabilities),
        left_out=len(np.unique(np.concatenate(per_run))) - len(shared),
    )


def significance_tests(comparison: Comparison) -> list[dict[str, Any]]:
    """Every pair of runs, tested.

    Returns:
        For each pair: `a, b` (run ids), `method`, `p` (McNemar), `p_adjusted` (Holm over the pairs),
        `difference` (accuracy of a minus b), `interval` (95 %, paired bootstrap), `only_a, only_b` (images
        only one gets right), `images`, `verdict` (a sentence).
    """
    pairs = list(combinations(range(len(comparison.runs)), 2))
    found = [test_pair(comparison, a, b) for a, b in pairs]
    adjusted = holm([test["p"] for test in found])
    for test, (a, b), p in zip(found, pairs, adjusted, strict=True):
        test["p_adjusted"] = p
        test["verdict"] = verdict(test, comparison.runs[a].name, comparison.runs[b].name, len(pairs))
    return found


def test_pair(comparison: Comparison, a: int, b: int) -> dict[str, Any]:
    """McNemar and paired bootstrap of runs number `a` and `b`; `significance_tests` adds the verdict."""
    right_a, right_b = comparison.correct[a], comparison.correct[b]
    return {
        "a": comparison.runs[a].id,
        "b": comparison.runs[b].id,
        "method": MCNEMAR,
        "p": mcnemar(right_a, right_b),
        "difference": float(right_a.mean() - right_b.mean()),
        "interval": accuracy_difference_interval(right_a, right_b),
        "only_a": int((right_a & ~right_b).sum()),
        "only_b": int((right_b & ~right_a).sum()),
        "images": len(comparison),
    }


test_pair.__test__ = False  # type: ignore[attr-defined]  # not a test for pytest to collect


def row_normalised(confusion: np.ndarray) -> np.ndarray:
    """(..., 7, 7) float: each row divided by its sum; rows without images are 0."""
    confusion = np.asarray(confusion, dtype=float)
    total = confusion.sum(axis=-1, keepdims=True)
    return np.divide(confusion, total, out=np.zeros_like(confusion), where=total > 0)


def difference_matrix(comparison: Comparison, a: int, b: int, normalise: bool = True) -> np.ndarray:
    """(7, 7) confusion of run `a` minus that of run `b`; in shares of the true class if `normalise`."""
    first, second = comparison.confusions[a], comparison.confusions[b]
    return row_normalised(first) - row_normalised(second) if normalise else first - second


def most_confused(confusion: np.ndarray, top: int = 10) -> list[dict[str, Any]]:
    """The most frequent mistakes by share of their true class: `true, predicted, images, share`."""
    confusion = np.asarray(confusion)
    share = row_normalised(confusion)
    cells: list[dict[str, Any]] = [
        {
            "true": EMOTIONS[i],
            "predicted": EMOTIONS[j],
            "images": int(confusion[i, j]),
            "share": float(share[i, j]),
        }
        for i in range(7)
        for j in range(7)
        if i != j and confusion[i, j]
    ]
    return sorted(cells, key=lambda cell: (-cell["share"], -cell["images"]))[:top]


def per_class_table(reports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per-class figures side by side: one row per class and run, `class, run, name, precision, …`."""
    return [
        {"class": emotion, "run": report["run"], "name": report["name"], **report["per_class"][emotion]}
        for emotion in EMOTIONS
        for report in reports
    ]


def common_dataset(runs: Sequence[Any]) -> Dataset:
    """The data set the runs were trained on; a network that ships with the program follows the others.

    Raises:
        UserError: they were trained on several, or theirs is not imported.
    """
    opened = [trained_run(run) for run in runs]
    trained_here = [run for run in opened if not run.shipped] or opened
    fingerprints = {run.fingerprint for run in trained_here}
    if len(fingerprints) > 1:
        raise UserError(
            f"These runs were trained on {len(fingerprints)} different data sets "
            f"({', '.join(sorted(f or 'unknown' for f in fingerprints))}). "
            "Choose one data set to compare them on."
        )
    return trained_here[0].dataset()


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(probabilities.astype(float), 1e-12, 1)
    return -(clipped * np.log(clipped)).sum(axis=-1)
