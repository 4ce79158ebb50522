"""Faces out of noise: DDPM (Ho et al. 2020) and DDIM (Song et al. 2021), with classifier-free guidance.

All steps run in a loop inside one compiled function, called about ten times, so that progress can be told
and a trajectory kept. Sample n of a seed depends on (seed, n) alone, not on how many are drawn with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from fer import backend
from fer.checks import check_integer, check_number
from fer.emotions import IMAGE_SIZE
from fer.errors import UnknownName, UserError
from fer.generation.normalization import lighten
from fer.generation.schedule import Schedule

STEPS, GUIDANCE = 50, 2.0
MOST_SAMPLES = 1024
BATCH = 64  # samples in one call of the network; twice as many with guidance
FRAMES = 10  # calls of the compiled function, and frames of a trajectory after the first

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Samples:
    """Generated faces.

    Attributes:
        images: (N, 48, 48) uint8.
        trajectory: (F, N, 48, 48) uint8: noise first, the images last.
        classes: N names, the classes asked for.
        settings: `seed, steps, guidance, method`: with a sample's number, all that decides it.
    """

    images: np.ndarray
    trajectory: np.ndarray
    classes: tuple[str, ...]
    settings: dict[str, Any]


class Sampler:
    """A noise predictor made ready to sample; compiled at its first call."""

    def __init__(self, model: keras.Model, schedule: Schedule, classes: tuple[str, ...]):
        self.model, self.schedule, self.classes = model, schedule, classes
        lighten(model)
        self._plain = backend.traced(self._steps_plain)
        self._guided = backend.traced(self._steps_guided)

    def sample(
        self,
        emotion: str,
        count: int = 16,
        seed: int = 0,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        method: str = "ddim",
        progress: Progress | None = None,
    ) -> Samples:
        """`count` faces of one class.

        Args:
            emotion: one of the classes the network was trained on.
            count: 1 to 1,024.
            seed: the same one gives the same faces, bit by bit on the same machine.
            steps: 1 to T; `ddim` needs 25 to 50, `ddpm` all T for its best.
            guidance: 0 to 20. 0 ignores the class, 1 is the network's own, above 1 exaggerates the class at
                the price of variety: ε̂ = ε̂(x) + guidance · (ε̂(x, class) - ε̂(x)). Without effect on a
                network of one class.
            method: `ddim` or `ddpm`.
            progress: called about ten times per batch of 64.

        Raises:
            UserError: a value outside its limits.
        """
        if emotion not in self.classes:
            raise UnknownName("class of this generator", emotion, self.classes)
        check_integer("number of samples", count, 1, MOST_SAMPLES)
        check_integer("seed", seed, 0, 2**31 - 1)
        guidance = check_number("guidance", guidance, 0, 20) if len(self.classes) > 1 else 1.0
        coefficients = self.schedule.coefficients(steps, method)
        parts = []
        for start in range(0, count, BATCH):
            numbers = np.arange(start, min(start + BATCH, count))
            report = _scaled(progress, start / count, (numbers[-1] + 1) / count)
            draws = Draws(seed, numbers, self.model.inputs[0].shape[1])
            parts.append(self._trajectory(emotion, draws, steps, coefficients, guidance, report))
        trajectory = np.concatenate(parts, axis=1)
        settings = {"seed": seed, "steps": steps, "guidance": guidance, "method": method}
        return Samples(trajectory[-1], trajectory, (emotion,) * count, settings)

    def _trajectory(
        self,
        emotion: str,
        draws: "Draws",
        steps: int,
        coefficients: np.ndarray,
        guidance: float,
        report: Progress,
    ) -> np.ndarray:
        """(F, N, 48, 48) uint8 of one batch."""
        visited = self.schedule.visited(steps).astype(np.int32)
        x = ops.convert_to_tensor(draws.normal())
        labels = np.full(len(x), self.classes.index(emotion), dtype=np.int32)
        values = [ops.convert_to_tensor(v) for v in self.model.trainable_variables]
        others = [ops.convert_to_tensor(v) for v in self.model.non_trainable_variables]
        frames = [_pixels(x)]
        length = -(-steps // FRAMES)
        for start in range(0, steps, length):
            chosen = slice(start, min(start + length, steps))
            noisy = coefficients[chosen, 4].any()
            noise = draws.several(chosen.stop - start) if noisy else np.zeros((1, 1, 1, 1, 1), np.float32)
            arguments = [values, others, x, noise, visited[chosen], coefficients[chosen], labels]
            tensors = [*arguments[:3], *(ops.convert_to_tensor(a) for a in arguments[3:])]
            if guidance == 1:
                x = self._plain(*tensors)
            else:
                x = self._guided(*tensors, ops.convert_to_tensor(np.float32(guidance)))
            frames.append(_pixels(x))
            report(chosen.stop / steps, f"Step {chosen.stop} of {steps}")
        if not np.isfinite(ops.convert_to_numpy(x)).all():
            raise UserError(
                "The generator answers with what is no number; train it with a lower learning rate."
            )
        return np.stack(frames)

    def _steps_plain(self, values, others, x, noise, visited, coefficients, labels):
        def predict(x, t):
            return self._noise(values, others, x, t, labels)

        return _loop(predict, x, noise, visited, coefficients)

    def _steps_guided(self, values, others, x, noise, visited, coefficients, labels, scale):
        nothing = ops.full_like(labels, len(self.classes))

        def predict(x, t):
            both = ops.concatenate([x, x]), ops.concatenate([labels, nothing])
            told, untold = ops.split(self._noise(values, others, both[0], t, both[1]), 2)
            return untold + scale * (told - untold)

        return _loop(predict, x, noise, visited, coefficients)

    def _noise(self, values, others, x, t, labels):
        """ε̂(x_t, t, class) in float32; the weights are arguments, so the compiled function keeps no copy."""
        steps = ops.zeros_like(labels) + t
        inputs = [x, steps, labels] if len(self.classes) > 1 else [x, steps]
        return self.model.stateless_call(values, others, inputs, training=False)[0]


class Draws:
    """The normal numbers of some samples, each from a generator of its own."""

    def __init__(self, seed: int, numbers: np.ndarray, size: int = IMAGE_SIZE):
        self.shape = (size, size, 1)
        self.generators = [np.random.default_rng([seed, int(n)]) for n in numbers]

    def normal(self) -> np.ndarray:
        """(N, 48, 48, 1) float32, standard normal."""
        return np.stack([g.standard_normal(self.shape, dtype=np.float32) for g in self.generators])

    def several(self, count: int) -> np.ndarray:
        """(count, N, 48, 48, 1)."""
        return np.stack([self.normal() for _ in range(count)])


def _loop(predict, x, noise, visited, coefficients):
    """Equation 12 of DDIM for each row of `coefficients` (see `Schedule.coefficients`)."""
    last = ops.shape(noise)[0] - 1

    def body(n, x):
        row = ops.take(coefficients, n, axis=0)
        kept, spread, kept_next, direct, sigma = (row[k] for k in range(5))
        predicted = predict(x, ops.take(visited, n, axis=0))
        image = ops.clip((x - spread * predicted) / kept, -1.0, 1.0)
        predicted = (x - kept * image) / spread  # of the clipped image, as Ho et al. do
        fresh = ops.take(noise, ops.minimum(n, last), axis=0)
        return kept_next * image + direct * predicted + sigma * fresh

    return ops.fori_loop(0, ops.shape(visited)[0], body, x)


def _pixels(x: Any) -> np.ndarray:
    """(N, 48, 48, 1) in [-1, 1] → (N, 48, 48) uint8."""
    values = np.nan_to_num(np.asarray(ops.convert_to_numpy(x), dtype=np.float32)[..., 0])
    return np.clip(np.rint((values + 1) * 127.5), 0, 255).astype(np.uint8)


def _scaled(progress: Progress | None, low: float, high: float) -> Progress:
    def report(fraction: float, text: str) -> None:
        if progress:
            progress(low + (high - low) * fraction, text)

    return report
