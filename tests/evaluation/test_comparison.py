"""Significance against statsmodels and brute force, verdicts in words, and what can be compared at all."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import comparison as comparisons
from fer.evaluation import metrics, significance
from fer.evaluation.comparison import Comparison, compare, significance_tests
from fer.evaluation.predictions import Predictions, predictions_path
from fer.evaluation.predictions import store_predictions as store
from fer.evaluation.report import NotEvaluated
from fer.evaluation.trained import TrainedRun, trained_run
from tests.evaluation.builders import tiny_dataset, write_facts


def made(tmp_path, correct, labels=None, seed=0):
    """A comparison of len(correct) runs that are right exactly where `correct` (R, N) says."""
    correct = np.asarray(correct, bool)
    runs, images = correct.shape
    labels = np.arange(images) % 7 if labels is None else labels
    probabilities = np.full((runs, images, 7), 0.05, np.float32)
    said = np.where(correct, labels, (labels + 1) % 7)
    for number in range(runs):
        probabilities[number, np.arange(images), said[number]] = 0.7
    opened = tuple(TrainedRun(tmp_path / name, name) for name in "abcdefgh"[:runs])
    dataset = tiny_dataset()
    return Comparison(opened, dataset, "test", np.arange(images), labels, probabilities, 0)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(3, 9), (0, 5), (7, 7), (0, 0), (40, 20), (300, 250), (30, 30)]
)
def test_mcnemar_is_that_of_statsmodels(only_a, only_b):
    a = np.array([True] * only_a + [False] * only_b + [True] * 50)
    b = np.array([False] * only_a + [True] * only_b + [True] * 50)
    theirs = reference_mcnemar([[50, only_a], [only_b, 0]], exact=True).pvalue
    assert significance.mcnemar(a, b) == pytest.approx(min(theirs, 1.0))


def test_mcnemar_agrees_with_the_chi_square_approximation_on_many_images():
    a, b = np.array([True] * 400 + [False] * 330), np.array([False] * 400 + [True] * 330)
    theirs = reference_mcnemar([[0, 400], [330, 0]], exact=False, correction=True).pvalue
    assert significance.mcnemar(a, b) == pytest.approx(theirs, rel=0.02)


def test_the_difference_interval_is_that_of_resampled_images():
    rng = np.random.default_rng(1)
    a, b = rng.random(500) < 0.6, rng.random(500) < 0.55
    rows = rng.integers(0, 500, (4000, 500))
    drawn = a[rows].mean(axis=1) - b[rows].mean(axis=1)
    low, high = significance.accuracy_difference_interval(a, b)
    assert low == pytest.approx(np.quantile(drawn, 0.025), abs=0.006)
    assert high == pytest.approx(np.quantile(drawn, 0.975), abs=0.006)


@pytest.mark.parametrize("metric", ["macro_f1", "balanced_accuracy", "accuracy"])
def test_the_paired_bootstrap_of_any_metric_is_that_of_resampled_images(metric):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 7, 400)
    a = np.where(rng.random(400) < 0.6, labels, rng.integers(0, 7, 400))
    b = np.where(rng.random(400) < 0.5, labels, rng.integers(0, 7, 400))

    def value(rows):
        figure = significance.METRICS[metric]
        first = figure(metrics.confusion_matrix(labels[rows], a[rows]))
        return first - figure(metrics.confusion_matrix(labels[rows], b[rows]))

    found = significance.paired_bootstrap(labels, a, b, metric)
    assert found["difference"] == pytest.approx(value(np.arange(400)))
    drawn = [value(rng.integers(0, 400, 400)) for _ in range(1500)]
    assert found["interval"][0] == pytest.approx(np.quantile(drawn, 0.025), abs=0.012)
    assert found["interval"][1] == pytest.approx(np.quantile(drawn, 0.975), abs=0.012)
    assert found["p"] < 0.05


def test_holm_is_that_of_statsmodels():
    p = [0.01, 0.04, 0.03, 0.2, 0.005]
    assert significance.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_verdicts_say_what_the_data_can_show(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.random(3589) < 0.6
    close = base.copy()
    close[np.concatenate([np.flatnonzero(base)[:22], np.flatnonzero(~base)[:18]])] ^= True
    much_better = base | (rng.random(3589) < 0.3)
    (same,) = significance_tests(made(tmp_path, [base, close]))
    assert "not distinguishable on 3,589 images" in same["verdict"]
    assert {"a", "b", "method", "p", "verdict"} <= set(same)
    (differs,) = significance_tests(made(tmp_path, [base, much_better]))
    assert differs["verdict"].startswith("b is better than a by")
    assert differs["interval"][1] < 0 < differs["only_b"]
    several = significance_tests(made(tmp_path, [base, close, much_better]))
    assert [(test["a"], test["b"]) for test in several] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert "correction for 3 comparisons" in several[0]["verdict"]


def test_confusion_differences_and_the_most_confused(tmp_path):
    labels = np.array([0, 0, 0, 0, 3, 3])
    both = made(tmp_path, [[1, 1, 0, 0, 1, 1], [1, 0, 0, 0, 0, 1]], labels)
    difference = comparisons.difference_matrix(both, 0, 1)
    assert difference[0, 0] == pytest.approx(0.5 - 0.25)
    assert difference[3, 4] == pytest.approx(-0.5)
    assert comparisons.difference_matrix(both, 0, 1, normalise=False)[0, 1] == -1
    first, second = comparisons.most_confused(both.confusions[1])
    assert first == {"true": "angry", "predicted": "disgust", "images": 3, "share": 0.75}
    assert second["true"] == "happy"


def test_disagreement_is_zero_when_all_say_the_same(tmp_path):
    both = made(tmp_path, [[1, 1, 0], [1, 0, 0]])
    assert both.disagreement[0] == pytest.approx(0, abs=1e-6)
    assert both.disagreement[1] > 0.3


def stored(directory, dataset, seed, **config):
    """A run directory with random stored predictions for validation and test, and no usable network."""
    import zipfile

    write_facts(directory, dataset, seed=seed, **config)
    with zipfile.ZipFile(directory / "best.keras", "w") as archive:
        archive.writestr("config.json", f"{seed}")
    run = trained_run(directory)
    indices = np.sort(np.concatenate([run.indices(dataset, s) for s in ("validation", "test")]))
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(7), len(indices)).astype(np.float32)
    absent = [i for i in range(7) if i not in run.class_indices]
    probabilities[:, absent] = 0
    codes = np.asarray(dataset.splits)[indices]
    store(predictions_path(run, dataset.fingerprint), Predictions(indices, probabilities, codes, run.stamp))
    return directory


def test_comparisons_share_what_they_have_in_common(tmp_path):
    """The server keeps 32 of them: together they took a hundred megabytes of the same names and splits."""
    dataset = tiny_dataset(leaks=4)
    for n in range(3):
        stored(tmp_path / str(n), dataset, n)
    one, other = compare([tmp_path / "0", tmp_path / "1"]), compare([tmp_path / "2", tmp_path / "0"])
    assert one.dataset is other.dataset is dataset
    assert one.runs[0].splits is other.runs[1].splits
    with pytest.raises(ValueError, match="read-only"):
        one.runs[0].splits["test"][0] = 1


def test_a_run_with_fewer_classes_is_compared_on_the_shared_images(tmp_path):
    dataset = tiny_dataset()
    six = tuple(name for name in EMOTIONS if name != "disgust")
    runs = [stored(tmp_path / "a", dataset, 0), stored(tmp_path / "b", dataset, 1, classes=six)]
    both = compare(runs)
    assert len(both) == 36
    assert both.left_out == 6
    assert 1 not in both.labels
    assert both.probabilities.shape == (2, 36, 7)


def test_what_cannot_be_compared_is_refused_with_the_reason(tmp_path):
    dataset, other = tiny_dataset(), tiny_dataset("other", seed=9)
    a, b = stored(tmp_path / "a", dataset, 0), stored(tmp_path / "b", other, 1)
    with pytest.raises(UserError, match="2 different data sets"):
        compare([a, b])
    with pytest.raises(NotEvaluated, match="Run 'b' is not evaluated on split 'test' of data set 'tiny'"):
        compare([a, b], dataset)
    with pytest.raises(UserError, match="at least one"):
        compare([])
    c = stored(tmp_path / "c", dataset, 2)
    splits = dict(np.load(c / "splits.npz"))
    splits["test"] = splits["validation"]
    np.savez(c / "splits.npz", **splits)
    with pytest.raises(UserError, match="share no image of split 'test'"):
        compare([a, c])


def test_eight_runs_of_7178_images_are_compared_quickly(tmp_path):
    import time

    rng = np.random.default_rng(0)
    eight = made(tmp_path, rng.random((8, 7178)) < 0.6)
    started = time.perf_counter()
    assert len(significance_tests(eight)) == 28
    assert eight.disagreement.shape == (7178,)
    assert time.perf_counter() - started < 2
