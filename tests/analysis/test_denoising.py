"""Denoising removes noise, says what it costs, and a whole data set equals one image at a time."""

import cv2
import numpy as np
import pytest

from fer.analysis.denoising import (
    METHODS,
    DenoiseConfig,
    compare,
    denoise,
    denoise_dataset,
    denoise_images,
    run,
)
from fer.data.dataset import list_datasets, open_dataset, save_dataset
from fer.errors import UserError
from tests.data.sourcekit import picture


def noisy(n=300, sigma=12.0):
    random = np.random.default_rng(0)
    clean = np.stack([picture(seed) for seed in range(n)])
    return clean, np.clip(clean + random.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_noise_goes_down_and_the_numbers_say_so(method):
    clean, dirty = noisy(10)
    config = DenoiseConfig(method=method, strength=15)
    for before, image in zip(clean, dirty, strict=True):
        shown = compare(image, config)
        assert shown.noise_after < 0.8 * shown.noise_before
        assert shown.sharpness_after < shown.sharpness_before
        change = np.abs(shown.original.astype(int) - shown.result)
        assert shown.largest_difference == change.max()
        assert shown.difference.max() >= 254
        mistakes = [np.square(x.astype(float) - before).mean() for x in (shown.result, image)]
        assert mistakes[0] < mistakes[1]
    np.testing.assert_array_equal(dirty, noisy(10)[1])


def test_the_grey_variant_comes_close_to_the_studys_colour_one():
    """Strength 10 on Lab lightness smooths like about 15 on grey levels."""
    for image in noisy(8)[1]:
        three = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        colour = cv2.fastNlMeansDenoisingColored(three, None, 10, 10, 7, 21)[..., 0].astype(int)
        grey = denoise(image, DenoiseConfig(strength=15))
        assert np.abs(colour - grey).mean() < 0.7 * np.abs(colour - image).mean()


def test_a_data_set_equals_one_image_at_a_time():
    _, dirty = noisy(300)
    dataset = save_dataset(
        "dirty", dirty, np.arange(300) % 7, np.arange(300) % 3, [str(n) for n in range(300)]
    )
    seen = []
    made = denoise_dataset(dataset, DenoiseConfig(), "clean", lambda fraction, text: seen.append(fraction))
    assert made.name == "clean"
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    for index in (0, 127, 128, 299):
        np.testing.assert_array_equal(made.images[index], denoise(dirty[index], DenoiseConfig()))
    np.testing.assert_array_equal(made.labels, dataset.labels)
    assert made.names == dataset.names
    assert made.meta["denoised_from"] == dataset.fingerprint
    np.testing.assert_array_equal(open_dataset("dirty").images, dirty)


def test_stopping_leaves_nothing(tmp_path):
    _, dirty = noisy(300)
    dataset = save_dataset("dirty", dirty, np.zeros(300), np.zeros(300), [str(n) for n in range(300)])
    config = {"dataset": dataset.fingerprint, "name": "clean", "denoising": {"method": "median"}}
    assert run(config, tmp_path, lambda fraction, text: None, lambda: True) == {
        "stopped": True,
        "metrics": {},
    }
    assert len(list_datasets()) == 1
    done = run(config, tmp_path, lambda fraction, text: None, lambda: False)
    assert open_dataset(done["metrics"]["dataset"]).name == "clean"


def test_a_failing_progress_ends_the_work():
    def fail(fraction, text):
        raise RuntimeError("closed")

    with pytest.raises(RuntimeError, match="closed"):
        denoise_images(noisy(300)[1], DenoiseConfig(method="median"), fail)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "wavelets"},
        {"strength": 0},
        {"strength": float("nan")},
        {"template": 8},
        {"search": 5, "template": 7},
        {"window": 4},
        {"diameter": 5.5},
        {"sigma": "1"},
    ],
)
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(UserError) as error:
        DenoiseConfig(**wrong)
    assert str(next(iter(wrong.values()))) in str(error.value)
    with pytest.raises(UserError, match="colour"):
        DenoiseConfig.from_json({"colour": 1})


def test_json_round_trip():
    config = DenoiseConfig(method="bilateral", diameter=7)
    assert DenoiseConfig.from_json(config.to_json()) == config
