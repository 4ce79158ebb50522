"""Every figure against scikit-learn, and the JSON keys that the command line promises."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import metrics

PROMISED = {
    "accuracy", "accuracy_without_leaks", "balanced_accuracy", "macro_f1", "weighted_f1", "log_loss",
    "kappa", "ece", "per_class", "confusion", "interval",
}  # fmt: skip


def predictions(n=600, classes=7, seed=0):
    """Labels and probabilities that are right about half of the time."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 3)))
    probabilities = np.zeros((n, 7))
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += 1.2
    probabilities[:, :classes] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_scikit_learn(seed):
    labels, probabilities = predictions(seed=seed)
    predicted = probabilities.argmax(axis=1)
    report = metrics.classification_report(labels, probabilities)
    assert report["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert report["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert report["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert report["weighted_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="weighted"))
    assert report["kappa"] == pytest.approx(reference.cohen_kappa_score(labels, predicted))
    clipped = np.clip(probabilities.astype(float), 1e-7, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    assert report["log_loss"] == pytest.approx(reference.log_loss(labels, clipped, labels=range(7)), abs=1e-6)
    confusion = reference.confusion_matrix(labels, predicted, labels=range(7))
    assert report["confusion"] == confusion.tolist()
    theirs = reference.classification_report(
        labels, predicted, labels=range(7), target_names=EMOTIONS, output_dict=True, zero_division=0
    )
    for emotion in EMOTIONS:
        ours = report["per_class"][emotion]
        assert ours["f1"] == pytest.approx(theirs[emotion]["f1-score"])
        for key in ("precision", "recall", "support"):
            assert ours[key] == pytest.approx(theirs[emotion][key])


def test_rows_are_true_classes():
    probabilities = np.eye(7)[[3, 3]]
    confusion = metrics.classification_report(np.array([0, 0]), probabilities)["confusion"]
    assert confusion[0][3] == 2
    assert sum(map(sum, confusion)) == 2


def test_keys_are_those_of_evaluate_and_json():
    labels, probabilities = predictions(50)
    report = metrics.classification_report(labels, probabilities, leaked=np.zeros(50, bool))
    assert PROMISED | {"images", "leaked"} == set(report)
    assert list(report["per_class"]) == list(EMOTIONS)
    assert set(report["per_class"]["happy"]) == {"precision", "recall", "f1", "support"}
    assert json.loads(json.dumps(report)) == report


def test_a_run_with_six_classes_is_judged_on_six():
    labels, probabilities = predictions(classes=6)
    report = metrics.classification_report(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    assert report["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert report["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert report["per_class"]["surprise"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert len(report["confusion"]) == 7
    assert np.isfinite(report["log_loss"])


def test_leaked_images_are_left_out_of_the_second_accuracy():
    labels = np.array([0, 1, 2, 3])
    probabilities = np.eye(7)[[0, 1, 0, 0]]
    leaked = np.array([True, True, False, False])
    report = metrics.classification_report(labels, probabilities, leaked)
    assert report["accuracy"] == 0.5
    assert report["accuracy_without_leaks"] == 0
    assert report["leaked"] == 2
    everything = metrics.classification_report(labels, probabilities, np.ones(4, bool))
    assert everything["accuracy_without_leaks"] is None
    assert everything["leaked"] == 4
    unknown = metrics.classification_report(labels, probabilities)
    assert unknown["accuracy_without_leaks"] is None
    assert unknown["leaked"] is None


def test_an_impossible_class_costs_a_finite_loss():
    loss = metrics.log_loss(np.array([0]), np.eye(7)[[1]])
    assert loss == pytest.approx(-np.log(1e-7))


def test_the_interval_is_seeded_covers_the_accuracy_and_narrows():
    wide, narrow = metrics.accuracy_interval(0.6, 100), metrics.accuracy_interval(0.6, 3589)
    assert wide == metrics.accuracy_interval(0.6, 100)
    assert wide[0] < 0.6 < wide[1]
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
    # normal approximation: 1.96 standard errors on each side
    assert narrow[1] - narrow[0] == pytest.approx(2 * 1.96 * np.sqrt(0.24 / 3589), rel=0.05)


def test_the_interval_is_that_of_resampled_images():
    rng = np.random.default_rng(3)
    correct = rng.random(300) < 0.55
    means = correct[rng.integers(0, 300, (4000, 300))].mean(axis=1)
    low, high = metrics.accuracy_interval(correct.mean(), 300)
    assert np.quantile(means, 0.025) == pytest.approx(low, abs=0.01)
    assert np.quantile(means, 0.975) == pytest.approx(high, abs=0.01)


def test_unusable_predictions_are_refused_in_words():
    with pytest.raises(UserError, match="no images"):
        metrics.classification_report(np.zeros(0, int), np.zeros((0, 7)))
    with pytest.raises(UserError, match=r"\(2, 6\); expected \(2, 7\)"):
        metrics.classification_report(np.zeros(2, int), np.zeros((2, 6)))
    with pytest.raises(UserError, match="1 of 2 predictions are not numbers"):
        metrics.classification_report(np.zeros(2, int), np.array([[np.nan] * 7, [1 / 7] * 7]))
    with pytest.raises(UserError, match="expected 0 to 6"):
        metrics.classification_report(np.array([7]), np.eye(7)[[0]])


def test_metrics_accept_a_stack_of_confusion_matrices():
    labels, probabilities = predictions()
    one = metrics.confusion_matrix(labels, probabilities.argmax(axis=1))
    for function in (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1, metrics.weighted_f1):
        assert function(np.stack([one, one]))[1] == pytest.approx(function(one))
