"""One step of every recipe that is not pretrained, under TensorFlow: network, batches, loss, optimizer are
the trainer's own, from the recipe's own config; `tests/extras/test_jax.py` does the same under JAX.

Eagerly, and recipes that share a network share it here: tracing and building take longer than the steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

from fer.augmentation import AugmentationConfig
from fer.data.dataset import Dataset
from fer.models import MODELS
from fer.recipes import RECIPES, recipe_config
from fer.training import network
from fer.training.config import Phase, TrainConfig
from fer.training.data import Batch, Batches, TrainingData, class_weights, load_data, oversampled
from fer.training.smote import BalancedFeatures, head_of

NO_GRADIENT = ("key/bias", "pool_score/bias")  # a softmax follows, to which adding a constant is nothing
NAMES = [name for name, recipe in RECIPES.items() if not MODELS[recipe.model].pretrained]


@pytest.fixture(autouse=True)
def eagerly() -> Iterator[None]:
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@cache
def built(key: TrainConfig) -> keras.Model:
    keras.utils.set_random_seed(0)
    return network.build_network(key, "float32")


def network_of(config: TrainConfig) -> keras.Model:
    wanted = ("model", "model_options", "classes", "preprocessing")
    return built(TrainConfig(dataset="d", **{name: getattr(config, name) for name in wanted}))


def read(
    config: TrainConfig, data: TrainingData, model: keras.Model, number: int, phase: Phase
) -> tuple[Batches | BalancedFeatures, Callable[[Batch], Any]]:
    """What a phase's steps read, and how they become the network's input."""
    if phase.images == "smote":
        return BalancedFeatures(config, data, model, number, lambda: False), lambda batch: batch.images
    indices = oversampled(config, data.splits["train"], data.labels)
    weights = class_weights(config, data.labels[indices])
    augmentation = config.augmentation if phase.augment else AugmentationConfig()
    prepare = network.preparer(augmentation, bool(config.mixup or config.cutmix))
    return Batches(config, data, indices, number, phase.augment, weights), prepare


@pytest.mark.parametrize("name", NAMES)
def test_one_step_of(name: str, tiny: Dataset):
    config = recipe_config(name, tiny.fingerprint, device="cpu", precision="float32", limit=21)
    config = replace(config, batch_size=4, oversample={c: min(n, 10) for c, n in config.oversample.items()})
    data, model = load_data(config), network_of(config)
    done: set[tuple] = set()
    for number, phase in enumerate(config.phases):
        kind = (phase.optimizer, phase.trainable, phase.augment, phase.weight_decay, phase.images == "smote")
        if kind in done:
            continue
        done.add(kind)
        batches, prepare = read(config, data, model, number, phase)
        trained = head_of(model) if phase.images == "smote" else model
        trainer = network.compile_for(trained, config, phase, "float32")
        batch = batches.batch(batches.order(0), 0, 0)
        images = prepare(batch)
        assert phase.images == "smote" or images.shape == (4, 48, 48, 1)
        trained_paths = {variable.path for variable in trainer.trainable_variables}
        if phase.trainable == "all" and phase.images != "smote":
            assert trained_paths == {variable.path for variable in model.trainable_variables}
        before = {variable.path: np.array(variable) for variable in model.variables}
        logs = trainer.train_on_batch(images, batch.targets, sample_weight=batch.weights, return_dict=True)
        assert 0 < float(logs["loss"]) < 20
        for variable in model.variables:
            changed = not np.array_equal(np.array(variable), before[variable.path])
            assert np.isfinite(np.array(variable)).all(), variable.path
            if variable.path in trained_paths:
                assert changed or variable.path.endswith(NO_GRADIENT), variable.path
            elif phase.images == "smote" or not any(part in variable.path for part in ("moving", "seed")):
                assert not changed, variable.path
        if phase.images == "smote":
            assert trained_paths == {"logits/kernel", "logits/bias"}


def test_the_battery_is_of_every_recipe_from_scratch():
    assert {"baseline_cnn", "unet_attention", "unet_separable", "unet_se", "vit_patch8", "cnn4", "vit_patch4",
            "resnet_se", "vgg", "cct"} <= set(NAMES)  # fmt: skip
    assert {RECIPES[name].model for name in NAMES} == {n for n, spec in MODELS.items() if not spec.pretrained}
