"""The forward process against its closed form, the sampler's coefficients against the DDPM posterior."""

import numpy as np
import pytest

from fer.errors import UserError
from fer.generation.schedule import SCHEDULES, Schedule


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("timesteps", [50, 1000])
def test_step_by_step_noise_equals_the_closed_form(name, timesteps):
    """x_t = √(1-β_t) x_{t-1} + √β_t ε over all steps has the mean and variance of q(x_t | x_0)."""
    schedule = Schedule(name, timesteps)
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(schedule.betas):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        assert mean == pytest.approx(np.sqrt(schedule.kept[t]), rel=1e-9)
        assert variance == pytest.approx(1 - schedule.kept[t], rel=1e-9)
    assert schedule.kept[0] > 0.97
    assert schedule.kept[-1] < 1e-4
    assert (np.diff(schedule.kept) < 0).all()


def test_the_published_values():
    """Ho et al. section 4: β from 1e-4 to 0.02; Nichol & Dhariwal equation 17 half-way through."""
    linear = Schedule("linear", 1000)
    assert (linear.betas[0], linear.betas[-1]) == (pytest.approx(1e-4), pytest.approx(0.02))
    cosine = Schedule("cosine", 1000)
    start = np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    assert cosine.kept[499] == pytest.approx(np.cos(0.508 / 1.008 * np.pi / 2) ** 2 / start, rel=1e-9)


def test_noised_images_have_the_promised_mean_and_spread():
    schedule = Schedule("cosine", 1000)
    random = np.random.default_rng(0)
    images = np.full((4000, 4, 4, 1), 0.5, np.float32)
    noisy = schedule.noised(images, np.full(4000, 600), random.standard_normal(images.shape))
    assert noisy.dtype == np.float32
    assert noisy.mean() == pytest.approx(0.5 * np.sqrt(schedule.kept[600]), abs=0.02)
    assert noisy.var() == pytest.approx(1 - schedule.kept[600], rel=0.02)
    each = schedule.noised(np.ones((2, 1)), np.array([0, 999]), np.zeros((2, 1)))
    assert each[:, 0] == pytest.approx(np.sqrt(schedule.kept[[0, 999]]), rel=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ddpm_over_all_steps_is_the_posterior_of_ho(name):
    """Equations 6 and 7 of Ho et al., written with x_0 and x_t instead of x̂_0 and ε̂."""
    schedule = Schedule(name, 200)
    steps = schedule.coefficients(200, "ddpm").astype(np.float64)
    for row, t in zip(steps, range(199, 0, -1), strict=False):
        kept, before, beta = schedule.kept[t], schedule.kept[t - 1], schedule.betas[t]
        of_image = np.sqrt(before) * beta / (1 - kept)
        of_noisy = np.sqrt(1 - beta) * (1 - before) / (1 - kept)
        image, noisy = 0.3, -0.7
        predicted = (noisy - row[0] * image) / row[1]
        assert row[2] * image + row[3] * predicted == pytest.approx(
            of_image * image + of_noisy * noisy, abs=2e-5
        )
        assert row[4] ** 2 == pytest.approx((1 - before) / (1 - kept) * beta, rel=1e-4, abs=1e-9)
    assert steps[-1] == pytest.approx(
        [np.sqrt(schedule.kept[0]), np.sqrt(1 - schedule.kept[0]), 1, 0, 0], abs=1e-6
    )


def test_ddim_uses_no_noise_and_ends_at_the_image():
    schedule = Schedule("linear", 1000)
    steps = schedule.coefficients(25, "ddim")
    assert steps.shape == (25, 5)
    assert (steps[:, 4] == 0).all()
    assert steps[-1, 2:].tolist() == [1, 0, 0]
    assert schedule.visited(25)[[0, -1]].tolist() == [999, 0]
    assert len(set(schedule.visited(50))) == 50


@pytest.mark.parametrize(
    "make",
    [
        lambda: Schedule("quadratic"),
        lambda: Schedule("linear", 1),
        lambda: Schedule().visited(1001),
        lambda: Schedule().coefficients(10, "euler"),
    ],
)
def test_values_outside_their_limits_are_refused(make):
    with pytest.raises(UserError):
        make()
