"""SMOTE in a trained network's feature space (Chawla et al. 2002), then its last layer trained anew.

SMOTE interpolates between neighbours of a class. Between pixels that gives ghosts; between the features
of a trained network it is plausible, so only what reads the features, layer `logits`, is trained.
Study A tried this and gained nothing; here is how to see for oneself.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import numpy as np

from fer.errors import UserError
from fer.models import network_shape
from fer.training.config import TrainConfig
from fer.training.data import Batch, TrainingData
from fer.training.phase import Phase
from fer.training.pinning import selection_used

if TYPE_CHECKING:
    from fer.runs import Run

NEIGHBOURS = 5


def base_network(config: TrainConfig) -> keras.Model:
    """The best network of the run `config.smote`, in float32."""
    from fer.models.loading import load_model
    from fer.runs import open_run

    return load_model(open_run(config.smote).directory / "best.keras")


def check_base(config: TrainConfig, selection: str) -> None:
    """Raise `UserError` if the run `config.smote` cannot give this training its features.

    It is not finished, or was trained on other images, classes or with another network: its training
    images could be this run's validation images.

    selection: `name@version` of the one this training uses, '' for none.
    """
    from fer.runs import open_run

    run = open_run(config.smote)
    base = run.train_config()
    _check_finished(run)
    for name in ("dataset", "model", "model_options", "classes", "split", "selection", "limit",
                 "preprocessing"):  # fmt: skip
        mine, theirs = getattr(config, name), getattr(base, name)
        if name == "model_options":
            mine, theirs = (network_shape(one.model, one.model_options) for one in (config, base))
        elif name == "selection":
            mine, theirs = selection, selection_used(run)
        if mine != theirs:
            raise UserError(
                f"SMOTE takes its features from run {run.name!r}, whose setting {name} is {theirs!r} and not "
                f"{mine!r}; give both runs the same."
            )


def _check_finished(run: "Run") -> None:
    # A node of a cluster gets the run's files without its record.
    if not (run.directory / "status.json").exists():
        return
    status = run.status()
    if status.state != "finished":
        advice = "Wait for it." if status.active else "Resume it first, or choose another."
        raise UserError(
            f"SMOTE takes its features from run {run.name!r}, which is {status.state} and not finished. "
            f"{advice}"
        )


def head_of(model: keras.Model) -> keras.Model:
    """What reads the features: layers `logits` and `probabilities` of `model`, shared with it."""
    logits = model.get_layer("logits")
    inputs = keras.Input(logits.input.shape[1:], name="features")
    return keras.Model(inputs, model.get_layer("probabilities")(logits(inputs)), name="head")


def trained_part(model: keras.Model, config: TrainConfig, phase: Phase) -> tuple[keras.Model, Phase]:
    """What the phase trains and how: on features only what reads them, and all of it; else as they are."""
    if config.on_features(phase):
        return head_of(model), replace(phase, trainable="all")
    return model, phase


class BalancedFeatures:
    """Batches of features in which SMOTE made every class as large as the largest.

    Takes the place of `fer.training.data.Batches`; `Batch.images` holds (B, D) float32 features.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        model: keras.Model,
        phase: int,
        should_stop: Callable[[], bool],
    ):
        from fer.training.network import predict

        reader = keras.Model(model.inputs[0], model.get_layer("logits").input)
        reader.jit_compile = False
        train = data.splits["train"]
        features = predict(reader, data.images[train], 256, should_stop)
        self.stopped = features is None
        if features is not None:
            self.features, self.labels = balance(features, data.labels[train], config.seed)
            self.size = config.batch_size
            self.steps = -(-len(self.labels) // self.size)
        self.config, self.phase = config, phase

    def order(self, epoch: int) -> np.ndarray:
        """(steps · B,) int64: every row once in random order; the last batch is filled from the first."""
        random = np.random.default_rng([self.config.seed, 0, self.phase, epoch])
        return np.resize(random.permutation(len(self.labels)), self.steps * self.size)

    def batch(self, order: np.ndarray, epoch: int, step: int) -> Batch:
        """Step `step` of the epoch whose order is `order`."""
        chosen = order[step * self.size : (step + 1) * self.size]
        count, epsilon = len(self.config.classes), self.config.label_smoothing
        targets = np.eye(count, dtype=np.float32)[self.labels[chosen]] * (1 - epsilon) + epsilon / count
        weights = np.ones(len(chosen), dtype=np.float32)
        return Batch(self.features[chosen], weights, targets.astype(np.float32), weights)


def balance(features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(M, D) float32 and (M,) labels: the given rows, and interpolated ones for all but the largest class.

    Raises:
        UserError: a class has one image only, so there is nothing to interpolate.
    """
    from imblearn.over_sampling import SMOTE

    counts = np.bincount(labels)
    smallest = int(counts[counts > 0].min())
    if smallest < 2:
        raise UserError("SMOTE needs at least 2 training images of each class; one class has a single one.")
    sampler = SMOTE(k_neighbors=min(NEIGHBOURS, smallest - 1), random_state=seed)
    balanced, balanced_labels = sampler.fit_resample(features, labels)
    return np.asarray(balanced, dtype=np.float32), np.asarray(balanced_labels)
