"""The forward process of a diffusion model: how much noise an image holds after t of T steps.

Sources: Ho, Jain & Abbeel 2020 (DDPM), whose equations are named below; the cosine schedule is equation 17
of Nichol & Dhariwal 2021; the sampling steps are equation 12 of Song, Meng & Ermon 2021 (DDIM); velocities
are those of Salimans & Ho 2022, appendix D.

Steps are counted from 0 (almost no noise) to T - 1 (almost nothing but noise). All sums run in float64.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fer.checks import check_choice, check_integer

SCHEDULES: tuple[str, ...] = ("linear", "cosine")
METHODS: tuple[str, ...] = ("ddim", "ddpm")
WEIGHTINGS: tuple[str, ...] = ("velocity", "noise")
FEWEST_STEPS, MOST_STEPS = 2, 4000
COSINE_OFFSET = 0.008  # s: keeps the first steps from being too small to predict
LARGEST_BETA = 0.999


@dataclass(frozen=True)
class Schedule:
    """Variances of the noise that is added in each step.

    Attributes:
        name: `linear` (β from 1e-4 to 0.02 for 1,000 steps, as in Ho et al. section 4; for other T scaled
            by 1000 / T, so that as much noise is added in all) or `cosine`.
        timesteps: T, 2 to 4,000.
    """

    name: str = "cosine"
    timesteps: int = 1000

    def __post_init__(self) -> None:
        check_choice("noise schedule", self.name, SCHEDULES)
        check_integer("number of noise steps", self.timesteps, FEWEST_STEPS, MOST_STEPS)

    @cached_property
    def betas(self) -> np.ndarray:
        """(T,) float64 in (0, 0.999]: β_t, variance of the noise added in step t."""
        if self.name == "linear":
            scale = 1000 / self.timesteps
            return np.minimum(np.linspace(1e-4 * scale, 0.02 * scale, self.timesteps), LARGEST_BETA)
        place = np.arange(self.timesteps + 1) / self.timesteps
        kept = np.cos((place + COSINE_OFFSET) / (1 + COSINE_OFFSET) * np.pi / 2) ** 2
        return np.minimum(1 - kept[1:] / kept[:-1], LARGEST_BETA)

    @cached_property
    def kept(self) -> np.ndarray:
        """(T,) float64 in (0, 1), falling: ᾱ_t = Π (1 - β_s), share of the image's variance left."""
        return np.cumprod(1 - self.betas)

    def noised(self, images: np.ndarray, t: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """x_t ~ q(x_t | x_0) = N(√ᾱ_t x_0, (1 - ᾱ_t) I), in one step (equation 4).

        images: (N, …) float in [-1, 1]. t: (N,) int in [0, T). noise: as images, standard normal.
        Returns (N, …) float32.
        """
        shape = (len(images), *[1] * (images.ndim - 1))
        kept = self.kept[np.asarray(t)].reshape(shape)
        return (np.sqrt(kept) * images + np.sqrt(1 - kept) * noise).astype(np.float32)

    def loss_weights(self, weighting: str) -> np.ndarray:
        """(T,) float32: what ‖ε - ε̂‖² counts in the loss at each step.

        `noise`: 1, equation 14 of DDPM. `velocity`: 1 / ᾱ_t, which makes it ‖v - v̂‖² with the velocity
        v = √ᾱ_t ε - √(1-ᾱ_t) x_0, since ε = √(1-ᾱ_t) x_t + √ᾱ_t v. In the image x_0 that is a weight of
        1 / (1-ᾱ_t) instead of ᾱ_t / (1-ᾱ_t): the noisy steps, in which the face as a whole is decided,
        count too. With equation 14 they hardly do, and a short training never learns them.
        """
        check_choice("loss weighting", weighting, WEIGHTINGS)
        weights = np.ones_like(self.kept) if weighting == "noise" else 1 / self.kept
        return weights.astype(np.float32)

    def visited(self, steps: int) -> np.ndarray:
        """(S,) int64, falling from T - 1 to 0: the steps a sampler visits, evenly spaced; S ≤ T."""
        check_integer("number of sampling steps", steps, 1, self.timesteps)
        return np.rint(np.linspace(self.timesteps - 1, 0, steps)).astype(np.int64)

    def coefficients(self, steps: int, method: str) -> np.ndarray:
        """(S, 5) float32: what each sampling step computes with, the noisiest step first.

        Columns √ᾱ_t, √(1-ᾱ_t), √ᾱ_s, √(1-ᾱ_s-σ²) and σ, where s is the step visited next (ᾱ = 1 after
        the last). With the prediction x̂_0 of the image and ε̂ of the noise, equation 12 of DDIM reads

            x_s = √ᾱ_s x̂_0 + √(1-ᾱ_s-σ²) ε̂ + σ z,   σ = η √((1-ᾱ_s)/(1-ᾱ_t)) √(1-ᾱ_t/ᾱ_s)

        `ddim` has η = 0 and uses no noise on the way. `ddpm` has η = 1: over all T steps that is the
        ancestral sampling of Ho et al. with the posterior q(x_{t-1} | x_t, x_0), equations 6 and 7.
        """
        check_choice("sampling method", method, METHODS)
        now = self.kept[self.visited(steps)]
        after = np.append(now[1:], 1.0)
        sigma = np.sqrt((1 - after) / (1 - now) * (1 - now / after)) * (method == "ddpm")
        direct = np.sqrt(np.maximum(1 - after - sigma**2, 0))
        columns = (np.sqrt(now), np.sqrt(1 - now), np.sqrt(after), direct, sigma)
        return np.stack(columns, axis=1).astype(np.float32)
