"""Under JAX, with no TensorFlow to fall back on: a step of every recipe that is not pretrained, a whole run.

The step is the trainer's own: the recipe's network, batches, augmentation, loss and optimizer.
"""

import sys

import keras
import numpy as np
import pytest

from fer import backend
from fer.data.dataset import Dataset
from fer.models import MODELS
from fer.recipes import RECIPES, recipe_config
from fer.training import network
from fer.training.config import Phase
from fer.training.data import Batches, class_weights, load_data
from fer.training.fit import fit
from tests.training.conftest import quick, tiny

__all__ = ["tiny"]
NAMES = [name for name, recipe in RECIPES.items() if not MODELS[recipe.model].pretrained]


@pytest.fixture(autouse=True)
def under_jax():
    assert keras.backend.backend() == "jax"
    yield
    assert sys.modules["tensorflow"] is None, "TensorFlow was imported"


@pytest.mark.parametrize("name", NAMES)
def test_one_step_of(name: str, tiny: Dataset):
    config = recipe_config(name, tiny.fingerprint, device="cpu", precision="float32", batch_size=8)
    data = load_data(config)
    phase = config.phases[0]
    model = network.build_network(config, "float32")
    trainer = network.compile_for(model, config, phase, "float32")
    train = data.splits["train"]
    weights = class_weights(config, data.labels[train])
    batches = Batches(config, data, train, 0, phase.augment, weights)
    prepare = network.preparer(config.augmentation, bool(config.mixup or config.cutmix))
    batch = batches.batch(batches.order(0), 0, 0)
    images = prepare(batch)
    assert type(images).__module__.startswith("jax")
    assert images.shape == (8, 48, 48, 1)
    before = [keras.ops.convert_to_numpy(variable) for variable in trainer.trainable_variables]
    logs = trainer.train_on_batch(images, batch.targets, sample_weight=batch.weights, return_dict=True)
    assert 0 < float(logs["loss"]) < 20
    after = [keras.ops.convert_to_numpy(variable) for variable in trainer.trainable_variables]
    changed = [(new != old).any() for new, old in zip(after, before, strict=True)]
    assert np.mean(changed) > 0.9  # the biases of attention keys have no gradient
    assert all(np.isfinite(values).all() for values in after)


def test_a_whole_run_stopped_and_resumed(tiny: Dataset, tmp_path):
    """Training, checkpoints, resume, evaluation and records; resumed equals uninterrupted."""
    config = quick(tiny, phases=(Phase(epochs=2, learning_rate=3e-3),), precision="float32")
    whole = fit(config, tmp_path / "whole")
    steps = iter(range(100))
    stopped = fit(config, tmp_path / "parts", should_stop=lambda: next(steps) >= 5)
    assert stopped.stopped
    resumed = fit(config, tmp_path / "parts")
    for part in ("val_accuracy", "val_loss", "accuracy", "log_loss"):
        assert resumed.metrics[part] == pytest.approx(whole.metrics[part], abs=1e-6), part
    assert (tmp_path / "parts" / "best.keras").exists()
    assert '"backend": "jax"' in (tmp_path / "parts" / "environment.json").read_text()


def test_the_device_and_the_compilation_are_those_of_jax():
    assert backend.backend_name() == "jax"
    assert backend.select_device("auto") == "cpu"
    assert backend.resolved_jit(wanted=False)
