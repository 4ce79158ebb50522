"""What a step of diffusion training reads: noisy images, steps and classes, and the noise to predict."""

from dataclasses import dataclass

import numpy as np

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.generation.config import DiffusionConfig


@dataclass(frozen=True)
class Batch:
    """What a step reads: inputs of the network, (B, H, W, 1) float32 noise to predict, (B,) its weights."""

    inputs: list[np.ndarray]
    noise: np.ndarray
    weights: np.ndarray


class Images:
    """Some images in [-1, 1] and their batches; everything random is a function of (seed, epoch, step).

    pixels: (N, H, W) uint8. labels: (N,) uint8 index into `EMOTIONS`, each one of the config's classes.
    """

    def __init__(self, config: DiffusionConfig, pixels: np.ndarray, labels: np.ndarray):
        if not len(pixels):
            raise UserError(f"There is no image of {', '.join(config.classes)} to learn from.")
        self.config, self.noise = config, config.noise
        self.images = (np.asarray(pixels, np.float32) / 127.5 - 1)[..., None]
        names = [EMOTIONS[label] for label in labels]
        self.labels = np.array([config.classes.index(name) for name in names], dtype=np.int32)
        self.weights = self.noise.loss_weights(config.weighting)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, epoch: int, step: int) -> Batch:
        """Step `step` of epoch `epoch`: images in random order, some mirrored, random steps and noise.

        The last batch of an epoch is filled up with images from its beginning.
        """
        config, size = self.config, self.config.batch_size
        order = self._order(epoch)
        chosen = np.take(order, np.arange(step * size, (step + 1) * size), mode="wrap")
        random = np.random.default_rng([config.seed, 1, epoch, step])
        images = self.images[chosen]
        if config.flip:
            mirrored = random.random(size) < 0.5
            images[mirrored] = images[mirrored, :, ::-1]
        t = random.integers(0, config.timesteps, size)
        noise = random.standard_normal(images.shape, dtype=np.float32)
        labels = np.where(
            random.random(size) < config.unconditional, len(config.classes), self.labels[chosen]
        )
        return self._batch(images, t, noise, labels)

    def _order(self, epoch: int) -> np.ndarray:
        """(N,) positions in an epoch's order; where classes are balanced, rare images several times."""
        random = np.random.default_rng([self.config.seed, 0, epoch])
        present = np.unique(self.labels)
        if not self.config.balanced or len(present) == 1:
            return random.permutation(len(self))
        each = np.array_split(np.arange(len(self)), len(present))  # how many of each class
        parts = [
            np.resize(random.permutation(np.flatnonzero(self.labels == label)), len(share))
            for label, share in zip(present, each, strict=True)
        ]
        return random.permutation(np.concatenate(parts))

    def fixed(self, step: int) -> Batch:
        """The same batch each time: all images in order, steps spread evenly, noise from the seed."""
        size = self.config.batch_size
        chosen = np.take(np.arange(len(self)), np.arange(step * size, (step + 1) * size), mode="wrap")
        random = np.random.default_rng([self.config.seed, 2, step])
        noise = random.standard_normal((size, *self.images.shape[1:]), dtype=np.float32)
        t = (np.arange(size) + random.random()) / size * self.config.timesteps
        return self._batch(
            self.images[chosen], t.astype(np.int64) % self.config.timesteps, noise, self.labels[chosen]
        )

    def _batch(self, images: np.ndarray, t: np.ndarray, noise: np.ndarray, labels: np.ndarray) -> Batch:
        inputs = [self.noise.noised(images, t, noise), t.astype(np.int32)]
        if self.config.conditional:
            inputs.append(labels.astype(np.int32))
        return Batch(inputs, noise, self.weights[t])
