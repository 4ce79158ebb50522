"""Clusters of images in feature space, other data sets, and the background jobs."""

import keras
import numpy as np
import pytest

from fer.errors import UserError
from fer.evaluation import clusters, job
from fer.evaluation.clusters import cluster_images, run_features
from fer.evaluation.predictions import load_network, load_predictions
from fer.evaluation.report import NotEvaluated, run_report
from fer.evaluation.transfer import transfer_table, usable_split
from tests.evaluation.builders import tiny_dataset, tiny_run


def groups(sizes=(30, 20, 10)):
    """Well separated groups of points, and which group each belongs to."""
    rng = np.random.default_rng(0)
    belongs = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.normal(size=(len(sizes), 5)) * 50
    return centres[belongs] + rng.normal(size=(len(belongs), 5)), belongs


def test_clusters_are_the_groups_largest_first():
    features, belongs = groups()
    correct = belongs == 1
    found = cluster_images(np.arange(60), features, belongs, correct, 3)
    assert np.array_equal(found.cluster, belongs)
    assert [fact["images"] for fact in found.facts] == [30, 20, 10]
    assert [fact["accuracy"] for fact in found.facts] == [0, 1, 0]
    assert [fact["emotion"] for fact in found.facts] == ["angry", "disgust", "fear"]
    assert found.points.shape == (60, 2)
    members = found.members(1)
    assert (belongs[members] == 1).all()
    assert (np.diff(found.distance[members]) >= 0).all()
    with pytest.raises(UserError, match="100 clusters of 60 images"):
        cluster_images(np.arange(60), features, belongs, correct, 100)


def test_features_are_those_of_the_penultimate_layer_and_kept(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    with pytest.raises(NotEvaluated):
        run_features(run, compute=False)
    indices, features = run_features(run)
    network = load_network(run)
    inner = keras.Model(network.input, network.get_layer("features").output)
    values = dataset.images[indices][..., None].astype(np.float32) / 255
    assert features == pytest.approx(np.asarray(inner(values)), abs=1e-4)
    assert np.array_equal(run_features(run, compute=False)[1], features)
    tiny_run(run, dataset, weights_seed=4)
    with pytest.raises(NotEvaluated):
        run_features(run, compute=False)


def test_the_drop_on_another_data_set(tmp_path):
    dataset = tiny_dataset()
    other = tiny_dataset("other", seed=5, splits=("test",))
    only_train = tiny_dataset("faces", seed=6, splits=("train",))
    run = tiny_run(tmp_path / "run", dataset)
    own, waiting, _ = transfer_table(run, [other, only_train, dataset])
    assert "not evaluated" in own["reason"]
    assert "not evaluated" in waiting["reason"]
    own, first, second = transfer_table(run, [other, only_train], compute=True)
    assert own["drop"] == 0
    assert first["drop"] == pytest.approx(run_report(run)["accuracy"] - run_report(run, other)["accuracy"])
    assert second["split"] == usable_split(only_train) == "train"


class Opened:
    """What `fer.runs.open_run` returns, as far as the jobs use it."""

    def __init__(self, directory):
        self.directory, self.name = directory, directory.name


def test_evaluation_and_features_in_the_background(tmp_path, monkeypatch):
    import fer.runs

    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    monkeypatch.setattr(fer.runs, "open_run", lambda key: Opened(run))
    seen = []

    def progress(fraction, text):
        seen.append(fraction)

    result = job.run({"run": "run", "split": "test"}, tmp_path / "job", progress, lambda: False)
    assert result["metrics"]["accuracy"] == run_report(run, compute=False)["accuracy"]
    assert seen[-1] == 1
    assert load_predictions(run) is not None
    result = clusters.run({"run": "run"}, tmp_path / "job", progress, lambda: False)
    assert result["metrics"]["images"] == 42
    assert len(run_features(run, compute=False)[0]) == 42
