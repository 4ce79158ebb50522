"""Distances with known values, and figures that tell good samples from bad ones and from copies."""

import numpy as np
import pytest

from fer.errors import UserError
from fer.generation.quality import (
    compare,
    frechet_distance,
    kernel_distance,
    near_distance,
    nearest,
    nearness,
    precision_recall,
)
from tests.generation.conftest import bars


def normal(count: int, shift: float = 0.0, spread: float = 1.0, seed: int = 0) -> np.ndarray:
    return shift + spread * np.random.default_rng(seed).standard_normal((count, 8))


def test_the_frechet_distance_is_that_of_the_formula():
    """Against the formula with a matrix root, and the closed form of two isotropic normals."""
    from scipy.linalg import sqrtm

    a, b = normal(60), normal(80, 0.5, 2.0, 1) @ np.diag(np.linspace(0.5, 2, 8))
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    shift = np.square(a.mean(0) - b.mean(0)).sum()
    expected = shift + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    far = frechet_distance(normal(5_000), normal(5_000, 3.0, 2.0, 1))
    assert far == pytest.approx(8 * 9 + 8 * (2 - 1) ** 2, rel=0.05)


def test_the_kernel_distance_is_unbiased_around_zero():
    same = [kernel_distance(normal(100, seed=n), normal(100, seed=n + 1000)) for n in range(40)]
    assert abs(np.mean(same)) < 0.03
    assert min(same) < 0
    assert kernel_distance(normal(100), normal(100, 1.0, seed=1)) > 10 * max(same)


def test_precision_falls_for_strange_samples_and_recall_for_few_kinds():
    real = normal(300)
    assert min(precision_recall(normal(300, seed=1), real)) > 0.6
    strange = precision_recall(normal(300, spread=4.0, seed=1), real)
    uniform = precision_recall(normal(300, spread=0.3, seed=1), real)
    assert strange[0] < 0.2
    assert uniform[0] > 0.9
    assert uniform[1] < 0.2


def test_the_baseline_is_what_real_faces_score():
    real = normal(400)
    generated, baseline, size = compare(normal(150, 1.0, seed=3), real)
    assert size == 150
    assert generated["frechet"] > 4 * baseline["frechet"]
    assert generated["kernel"] > 10 * abs(baseline["kernel"])
    as_good, baseline, _ = compare(normal(150, seed=3), real)
    assert as_good["frechet"] == pytest.approx(baseline["frechet"], rel=0.3)
    with pytest.raises(UserError, match="few"):
        compare(normal(3), real)


def test_copies_are_found_mirrored_or_not():
    training = np.random.default_rng(0).integers(0, 256, (40, 48, 48), dtype=np.uint8)
    training[1] = training[0]  # pixel-identical, which is not what near means
    fresh = np.random.default_rng(1).integers(0, 256, (20, 48, 48), dtype=np.uint8)
    noise = np.random.default_rng(2).integers(-9, 10, (10, 48, 48))
    copies = np.clip(training[10:20].astype(int) + noise, 0, 255).astype(np.uint8)
    assert near_distance(training) > 90
    assert nearness(training, copies) == 1
    assert nearness(training, copies[:, :, ::-1]) == 1
    assert nearness(training, fresh) < 0.3
    order, distances = nearest(training, copies, 2)
    assert order[:, 0].tolist() == list(range(10, 20))
    assert (distances[:, 0] < 10).all()
    shifted = nearest(bars(), np.clip(bars()[:1].astype(int) + 3, 0, 255).astype(np.uint8))[1]
    assert 2 < shifted[0, 0] < 3.01  # the root mean square of a difference of 3, less where it is clipped


def test_a_classifier_judges_the_samples(trained_pair):
    generator, classifier, samples = trained_pair
    from fer.generation.quality import judge

    quality = judge(generator, samples, ["disgust"] * len(samples), classifier)
    assert set(quality.generated) == set(quality.real)
    assert quality.generated["near_copies"] == 1  # they are training images
    assert quality.real["near_copies"] < 0.5
    assert 0 <= quality.real["agreement"] <= 1
    assert quality.samples == len(samples)
    assert quality.compared >= 4
