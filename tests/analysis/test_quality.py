"""Quality measures move with what they measure, and noise is measured in grey levels."""

import cv2
import numpy as np
import pytest

from fer.analysis.quality import MEASURES, measure, noise, quality, sharpness
from fer.data.dataset import save_dataset


def smooth(seed=0):
    coarse = np.random.default_rng(seed).integers(60, 190, (5, 5), dtype=np.uint8)
    return cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("sigma", [4.0, 10.0, 20.0])
def test_noise_is_estimated_in_grey_levels(sigma):
    random = np.random.default_rng(1)
    noisy = [
        np.clip(smooth(n) + random.normal(0, sigma, (48, 48)), 0, 255).astype(np.uint8) for n in range(30)
    ]
    assert np.mean([noise(image) for image in noisy]) == pytest.approx(sigma, rel=0.1)


def test_brightness_contrast_and_sharpness():
    image = smooth()
    brighter = image + 20
    flatter = (128 + (image.astype(float) - 128) / 2).astype(np.uint8)
    found = measure(np.stack([image, brighter, flatter]))
    assert found["brightness"][0] == pytest.approx(image.mean(), rel=1e-5)
    assert found["contrast"][0] == pytest.approx(image.std(), rel=1e-5)
    assert found["brightness"][1] == pytest.approx(image.mean() + 20, rel=1e-5)
    assert found["contrast"][2] == pytest.approx(image.std() / 2, rel=0.02)
    crisp = np.kron([[0, 255], [255, 0]], np.ones((24, 24))).astype(np.uint8)
    blurred = [cv2.GaussianBlur(crisp, (0, 0), sigma) for sigma in (0.7, 1.5, 3)]
    values = [sharpness(picture) for picture in [crisp, *blurred]]
    assert values == sorted(values, reverse=True)
    assert measure(np.full((1, 48, 48), 9, np.uint8))["noise"][0] == 0


def test_cached_under_the_data_set():
    images = np.stack([smooth(n) for n in range(5)])
    dataset = save_dataset("five", images, [0] * 5, [0] * 5, list("abcde"))
    first = quality(dataset)
    assert set(first) == set(MEASURES)
    assert list(dataset.derived().glob("quality-*"))
    for name, values in quality(dataset).items():
        np.testing.assert_array_equal(values, first[name])
