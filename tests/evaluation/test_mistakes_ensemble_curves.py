"""The gallery's order, ensembles against brute force, and curve points against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from fer.errors import UserError
from fer.evaluation import curves, ensemble, mistakes
from fer.evaluation.comparison import compare
from fer.evaluation.metrics import log_loss
from tests.evaluation.builders import tiny_dataset, write_facts
from tests.evaluation.test_comparison import made, stored


@pytest.fixture
def three(tmp_path):
    dataset = tiny_dataset(per_class=20)
    return compare([stored(tmp_path / str(n), dataset, n) for n in range(3)])


@pytest.mark.parametrize("order", mistakes.ORDERS)
def test_ranked_images_are_wrong_filtered_and_in_order(three, order):
    found = mistakes.ranked_images(three, 1, "wrong", order)
    assert len(found) == (~three.correct[1]).sum() > 0
    assert not three.correct[1][found].any()
    by = three.disagreement if order == "disagreement" else getattr(three, order)[1]
    assert (np.diff(by[found]) <= 0).all()
    happy = mistakes.ranked_images(three, 1, "all", order, true="happy", predicted="sad")
    assert (three.labels[happy] == 3).all()
    assert (three.predicted[1][happy] == 5).all()
    assert len(mistakes.ranked_images(three, 1, "right", order)) + len(found) == len(three)


def test_unknown_choices_are_refused(three):
    for arguments in ({"order": "size"}, {"shown": "some"}, {"true": "joy"}):
        with pytest.raises(UserError, match="Choose from"):
            mistakes.ranked_images(three, 0, **arguments)


def test_images_every_run_gets_wrong(tmp_path):
    both = made(tmp_path, [[1, 0, 0, 1], [0, 0, 0, 1]])
    assert set(mistakes.wrong_for_every_run(both)) == {1, 2}
    assert mistakes.agreement_counts(both) == {"0 of 2": 2, "1 of 2": 1, "2 of 2": 1}
    facts = mistakes.image_facts(both, 1)
    assert facts["true"] == "disgust"
    assert facts["answers"][0]["emotion"] == "fear"
    assert facts["answers"][0]["probabilities"]["fear"] == pytest.approx(0.7)


def test_accuracy_by_a_property():
    values = np.arange(100.0)
    rows = mistakes.accuracy_by(np.append(values, np.nan), np.append(values >= 50, True), bins=4)
    assert [row["accuracy"] for row in rows] == [0, 0, 1, 1]
    assert [row["images"] for row in rows] == [25] * 4
    assert (rows[0]["low"], rows[0]["high"]) == (0, 24)


def test_the_average_and_its_weights():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), (2, 5))
    assert ensemble.average(probabilities) == pytest.approx(probabilities.mean(axis=0))
    assert ensemble.average(probabilities, [3, 1]) == pytest.approx(
        0.75 * probabilities[0] + 0.25 * probabilities[1]
    )
    with pytest.raises(UserError, match="do not fit 2 runs"):
        ensemble.average(probabilities, [1, -1])


def test_fitted_weights_are_the_best_of_a_grid():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 7, 800)
    strong, weak = rng.normal(size=(800, 7)), rng.normal(size=(800, 7))
    strong[np.arange(800), labels] += 2
    weak[np.arange(800), labels] += 0.7
    probabilities = np.exp([strong, weak]) / np.exp([strong, weak]).sum(axis=2, keepdims=True)
    found = ensemble.fit_weights(labels, probabilities)
    grid = np.linspace(0, 1, 201)
    losses = [log_loss(labels, ensemble.average(probabilities, [w, 1 - w])) for w in grid]
    assert found[0] == pytest.approx(grid[np.argmin(losses)], abs=0.01)
    assert found.sum() == pytest.approx(1)


def test_ensemble_reports_use_the_shared_validation_images(three):
    result = ensemble.ensemble_reports(three)
    predicted = three.probabilities.mean(axis=0).argmax(axis=1)
    assert result["average"]["accuracy"] == pytest.approx((predicted == three.labels).mean())
    assert sum(result["weights"].values()) == pytest.approx(1)
    assert result["weighted"]["images"] == len(three)


def test_too_few_validation_images_give_a_reason(tmp_path):
    dataset = tiny_dataset(per_class=4)
    few = compare([stored(tmp_path / str(n), dataset, n) for n in range(2)])
    result = ensemble.ensemble_reports(few)
    assert result["weighted"] is None
    assert "14 validation images" in result["reason"]


def test_curves_are_those_of_scikit_learn(three):
    labels, probabilities = three.labels, three.probabilities[0]
    found = curves.roc(labels, probabilities, "fear")
    assert found["auc"] == pytest.approx(reference.roc_auc_score(labels == 2, probabilities[:, 2]))
    assert len(found["true_positive_rate"]) <= curves.POINTS
    assert found["true_positive_rate"][-1] == 1
    found = curves.precision_recall(labels, probabilities, "fear")
    expected = reference.average_precision_score(labels == 2, probabilities[:, 2])
    assert found["average_precision"] == pytest.approx(expected)
    with pytest.raises(UserError, match="no images of fear"):
        curves.roc(labels[labels != 2], probabilities[labels != 2], "fear")


def test_smoothing_and_the_chosen_checkpoint(tmp_path):
    assert curves.smoothed([1, 2, 3], 0) == [1, 2, 3]
    assert curves.smoothed([4, 4, 4], 0.9) == pytest.approx([4, 4, 4])
    assert curves.smoothed([0, 1], 0.5)[1] == pytest.approx(2 / 3)
    run = write_facts(tmp_path / "run", tiny_dataset())
    curve = curves.training_curve(run, "val_loss")
    assert curve["epochs"] == [1, 2, 3]  # the torn last line is skipped
    assert curve["chosen"] == {"epoch": 2, "value": 1.6}
