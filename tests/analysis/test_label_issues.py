"""Planted label errors come first, and only answers about unseen images count."""

import numpy as np
import pytest

from fer.analysis.label_issues import find_label_issues, out_of_sample
from fer.data.dataset import save_dataset
from fer.errors import UserError


@pytest.fixture
def planted():
    """210 images, the labels of 10 wrong; probabilities of a network that is mostly right about the truth."""
    random = np.random.default_rng(0)
    truth = np.arange(210) % 7
    labels = truth.copy()
    wrong = random.choice(210, 10, replace=False)
    labels[wrong] = (truth[wrong] + 3) % 7
    images = random.integers(0, 256, (210, 48, 48), dtype=np.uint8)
    splits = np.where(np.arange(210) < 140, 0, 2)
    dataset = save_dataset("planted", images, labels, splits, [str(n) for n in range(210)])
    probabilities = random.dirichlet(np.ones(7) * 0.3, 210) * 0.3
    probabilities[np.arange(210), truth] += 0.7
    return dataset, wrong, truth, probabilities


def test_planted_errors_come_first(planted):
    dataset, wrong, truth, probabilities = planted
    issues = find_label_issues(dataset, np.arange(210), probabilities)
    assert set(issues.indices[:10]) == set(wrong)
    assert (issues.suggested[:10] == truth[issues.indices[:10]]).all()
    assert (issues.given == dataset.labels[issues.indices]).all()
    assert (np.diff(issues.quality) >= 0).all()
    assert issues.probable[:10].sum() >= 5
    assert not issues.probable[10:].any()


def test_classes_may_be_missing(planted):
    dataset, _, _, probabilities = planted
    chosen = np.flatnonzero(np.isin(dataset.labels, [0, 4]))
    issues = find_label_issues(dataset, chosen, probabilities[chosen])
    assert set(issues.given) == {0, 4}


def test_mistakes_are_named(planted):
    dataset, _, _, probabilities = planted
    with pytest.raises(UserError, match="at least 20"):
        find_label_issues(dataset, np.arange(5), probabilities[:5])
    with pytest.raises(UserError, match="shape"):
        find_label_issues(dataset, np.arange(30), probabilities[:30, :6])
    with pytest.raises(UserError, match="missing values"):
        find_label_issues(dataset, np.arange(30), np.full((30, 7), np.nan))


class FakeNetwork:
    """A run that trained on the first `trained` images of the data set."""

    def __init__(self, dataset, trained):
        self.fingerprint = dataset.fingerprint
        self.splits = {"train": np.asarray(trained)}
        self.hashes = None


def test_only_unseen_images_count(planted, monkeypatch):
    from fer.evaluation import predictions, trained

    dataset, _, _, probabilities = planted

    class Stored:
        indices = np.arange(100, 200)

        def of(self, indices):
            return probabilities[indices]

    monkeypatch.setattr(trained, "trained_run", lambda run: run)
    monkeypatch.setattr(predictions, "load_predictions", lambda run, fingerprint: Stored())
    indices, found = out_of_sample(dataset, [FakeNetwork(dataset, range(140))])
    assert list(indices) == list(range(140, 200))
    np.testing.assert_allclose(found, probabilities[140:200])
    folds = [FakeNetwork(dataset, range(120)), FakeNetwork(dataset, range(110, 210))]
    assert list(out_of_sample(dataset, folds)[0]) == [*range(100, 110), *range(120, 200)]
    with pytest.raises(UserError, match="did not train on"):
        out_of_sample(dataset, [FakeNetwork(dataset, range(210))])
