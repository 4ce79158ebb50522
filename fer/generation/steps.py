"""One step of diffusion training: the rate, the weighted loss, and the running average of the weights."""

import math
from typing import Any

import keras

from fer import backend
from fer.generation.batches import Batch
from fer.generation.config import DiffusionConfig
from fer.generation.normalization import lighten

WARMUP_STEPS = 50


def prepare(model: keras.Model, config: DiffusionConfig) -> "Adam":
    """Make a fresh network ready for `train_step`; returns its optimizer."""
    lighten(model)
    optimizer = Adam(config.learning_rate, use_ema=True, ema_momentum=config.ema, global_clipnorm=1.0)
    model.compile(optimizer, "mse", jit_compile=backend.resolved_jit(False))
    optimizer.build(model.trainable_variables)
    return optimizer


def train_step(model: keras.Model, batch: Batch, rate: float) -> float:
    """Train on one batch; returns its loss before the step."""
    model.optimizer.learning_rate = rate
    model.reset_metrics()  # else Keras returns the mean since the last reset
    weights = batch.weights[:, None, None]  # Keras leaves two axes of the error when it applies them
    return float(model.train_on_batch(batch.inputs, batch.noise, sample_weight=weights))


def learning_rate(config: DiffusionConfig, done: int, total: int) -> float:
    """Rate of the step after `done` of `total` ones: a linear warm-up, then half a cosine to 0."""
    warm = min(1.0, (done + 1) / WARMUP_STEPS)
    return config.learning_rate * warm * (1 + math.cos(math.pi * (done + 0.5) / total)) / 2


class Adam(keras.optimizers.Adam):
    """Adam whose running average of the weights forgets the beginning: see `DiffusionConfig.ema`."""

    @property
    def ema_momentum(self) -> Any:
        """Decay of the step under way, a tensor."""
        done = keras.ops.cast(self.iterations, "float32")
        return keras.ops.minimum(self._largest, (1 + done) / (10 + done))

    @ema_momentum.setter
    def ema_momentum(self, value: float) -> None:
        self._largest = value
