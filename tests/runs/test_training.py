"""One real training through the queue: killed between epochs and resumed, it ends as if nothing had been."""

import os
import signal
import time

import numpy as np
import pytest

from fer import runs
from fer.data.dataset import save_dataset
from fer.recipes import recipe_config
from tests.runs.runkit import until


@pytest.fixture
def dataset():
    """280 images whose brightness tells the class a little: enough to see a loss fall."""
    generator = np.random.default_rng(3)
    labels = np.arange(280) % 7
    images = generator.integers(0, 120, (280, 48, 48)) + labels[:, None, None] * 15
    splits = np.where(np.arange(280) < 210, 0, 2)
    return save_dataset("Tiny", images, labels, splits, [f"row {n}" for n in range(280)])


def test_a_killed_training_resumed_equals_one_that_was_not(dataset, monkeypatch):
    monkeypatch.delenv("FER_TEST_JOBS")
    monkeypatch.setenv("FER_FAKE_GPUS", "2")  # two slots, so that both train at once; there is no GPU behind
    settings = {"epochs": "8", "deterministic": "true", "batch_size": "32", "precision": "float32"}
    config = recipe_config("baseline_cnn", dataset.fingerprint, **settings).to_json()
    straight, broken = (runs.create_run(config, name=name) for name in ("straight", "broken"))
    for run in (broken, straight):
        runs.submit(run)
    until(lambda: broken.status().epoch >= 1, 180, "first epoch")
    until(lambda: (broken.directory / "last").exists(), 30, "the state")
    os.kill(broken.status().pid, signal.SIGKILL)
    until(lambda: broken.status().state == "killed", 5, "killed")
    reached = broken.status().epoch
    assert len(broken.history()) == reached
    assert 1 <= reached < 8
    runs.resume(broken)
    for run in (straight, broken):
        ended = runs.wait(run, 240)
        assert (ended.state, ended.epoch, ended.epochs) == ("finished", 8, 8), run.log_tail()
        assert ended.device == "cpu"
        assert (run.directory / "best.keras").exists()
        assert run.train_config().recipe == "baseline_cnn"
    one, other = straight.history(), broken.history()
    assert one["epoch"].tolist() == other["epoch"].tolist()
    for column in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        np.testing.assert_allclose(other[column], one[column], rtol=0, atol=1e-6, err_msg=column)
    assert straight.metrics().keys() == broken.metrics().keys() != set()


def test_a_gpu_that_the_driver_shows_and_tensorflow_does_not_is_a_failure(dataset, monkeypatch):
    monkeypatch.delenv("FER_TEST_JOBS")
    monkeypatch.setenv("FER_FAKE_GPUS", "2")
    config = recipe_config("baseline_cnn", dataset.fingerprint, epochs="1", device="gpu:1").to_json()
    run = runs.create_run(config)
    before = time.monotonic()
    runs.submit(run)
    ended = runs.wait(run, 180)
    assert (ended.state, ended.error) == ("failed", "device"), run.log_tail()
    assert "cannot be used" in ended.reason
    assert ended.remedy
    assert time.monotonic() - before < 180
