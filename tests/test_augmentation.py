"""Augmentation: each variation does what it says, and preview and training draw the same."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.augmentation import (
    FILLS,
    PRESETS,
    AugmentationConfig,
    Augmenter,
    delete_preset,
    frame_warning,
    list_presets,
    out_of_frame,
    preset,
    preview,
    save_preset,
)
from fer.augmentation.pixels import vary
from fer.augmentation.preview import augmentation_seed
from fer.errors import UnknownName, UserError

RANDOM = np.random.default_rng(7)
FACES = RANDOM.integers(0, 256, (24, 48, 48), dtype=np.uint8)


def smooth(count: int = 6) -> np.ndarray:
    """(N, 48, 48) uint8 of a bright spot off the centre, soft enough that moving it loses little."""
    rows, columns = np.mgrid[:48, :48]
    spot = 220 * np.exp(-((rows - 20) ** 2 + (columns - 30) ** 2) / 30)
    return np.repeat(spot.astype(np.uint8)[None], count, axis=0)


def centroid(image: np.ndarray) -> tuple[float, float]:
    """(x, y) of the brightness, in pixels from the picture's centre."""
    rows, columns = np.mgrid[:48, :48] - 23.5
    weight = image.astype(np.float64) / image.sum()
    return float((columns * weight).sum()), float((rows * weight).sum())


def test_nothing_changes_without_amounts():
    np.testing.assert_array_equal(preview(FACES, PRESETS["none"], 3), FACES)
    identity = Augmenter(AugmentationConfig()).parameters(np.zeros(4, dtype=int), (1, 2))
    varied = vary(FACES[:4], identity, np, AugmentationConfig(rotation=1))
    np.testing.assert_allclose(varied, FACES[:4] / 255, atol=1e-6)


def test_same_seed_same_pixels_and_another_seed_others():
    first, again, other = (preview(FACES, PRESETS["A"], seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
    assert (preview(FACES, PRESETS["A"], 5, epoch=1) != first).mean() > 0.5


def test_flip_mirrors_about_half_of_the_images():
    varied = preview(np.resize(FACES, (400, 48, 48)), AugmentationConfig(flip=True), 1)
    originals = np.resize(FACES, (400, 48, 48))
    mirrored = (varied == originals[:, :, ::-1]).all(axis=(1, 2))
    same = (varied == originals).all(axis=(1, 2))
    assert (mirrored ^ same).all()
    assert 160 < mirrored.sum() < 240


def test_rotation_turns_by_up_to_the_angle():
    spots = smooth(200)
    before = np.arctan2(*centroid(spots[0])[::-1])
    varied = preview(spots, AugmentationConfig(rotation=30), 2)
    turns = np.array([np.rad2deg(np.arctan2(*centroid(image)[::-1]) - before) for image in varied])
    assert np.abs(turns).max() == pytest.approx(30, abs=1.5)
    assert np.abs(turns).mean() == pytest.approx(15, abs=2)
    assert abs(turns.mean()) < 3


def test_shifts_are_shares_of_the_side():
    varied = preview(smooth(200), AugmentationConfig(shift_x=0.1, fill="constant"), 2)
    moved = np.array([centroid(image) for image in varied]) - centroid(smooth(1)[0])
    assert np.abs(moved[:, 0]).max() == pytest.approx(4.8, abs=0.2)
    assert np.abs(moved[:, 1]).max() < 0.1


def test_zoom_and_crop_scale_about_the_centre():
    start = np.hypot(*centroid(smooth(1)[0]))
    zoomed = preview(smooth(200), AugmentationConfig(zoom=0.2, fill="constant"), 2)
    ratio = np.array([np.hypot(*centroid(image)) for image in zoomed]) / start
    assert 0.8 < ratio.min() < 0.9 < 1.1 < ratio.max() < 1.26  # 1 / 1.2 to 1 / 0.8
    cropped = preview(np.full((200, 48, 48), 90, np.uint8), AugmentationConfig(crop=0.4, fill="constant"), 2)
    assert (cropped == 90).all()  # a crop lies inside the picture, so nothing is filled in


def test_shear_is_in_degrees():
    bar = np.where(np.abs(np.mgrid[:48, :48][1] - 23.5) < 3, 200, 0).astype(np.uint8)
    varied = preview(np.repeat(bar[None], 200, 0), AugmentationConfig(shear=20, fill="constant"), 4)
    columns = np.arange(48)
    lean = []
    for image in varied:
        top = (image[10] * columns).sum() / image[10].sum()
        low = (image[37] * columns).sum() / image[37].sum()
        lean.append(np.rad2deg(np.arctan((low - top) / 27)))
    # ImageDataGenerator's map: x - sin(s)·y, so a vertical line leans by arctan(sin s).
    assert np.abs(lean).max() == pytest.approx(np.rad2deg(np.arctan(np.sin(np.deg2rad(20)))), abs=0.5)
    study_a = preview(np.repeat(bar[None], 50, 0), AugmentationConfig(shear=0.1), 4).astype(int)
    assert np.abs(study_a - bar).max() <= 10  # what study A's shear of "0.1" did: nothing


def test_brightness_and_contrast():
    grey = np.full((300, 48, 48), 100, np.uint8)
    means = preview(grey, AugmentationConfig(brightness=0.5), 1).mean(axis=(1, 2))
    assert 49 < means.min() < 60 < 140 < means.max() < 151
    flat = preview(grey, AugmentationConfig(contrast=0.5), 1)
    np.testing.assert_array_equal(flat, grey)
    spread = preview(smooth(300), AugmentationConfig(contrast=0.5), 1).std(axis=(1, 2)) / smooth(1).std()
    assert 0.49 < spread.min() < 0.6 < 1.3 < spread.max()


def test_cutout_covers_one_grey_square():
    black = np.zeros((300, 48, 48), np.uint8)
    varied = preview(black, AugmentationConfig(cutout=0.5), 1)
    assert set(np.unique(varied)) == {0, 128}
    areas = (varied > 0).sum(axis=(1, 2))
    assert areas.max() <= 25**2
    assert areas.max() > 18**2


def test_fill_modes():
    picture = np.full((100, 48, 48), 200, np.uint8)
    picture[:, :, :24] = 100
    shift = AugmentationConfig(shift_x=0.5)
    values = shift.to_json()
    nearest = preview(picture, shift, 3)
    constant = preview(picture, AugmentationConfig.from_json(values | {"fill": "constant"}), 3)
    reflect = preview(picture, AugmentationConfig.from_json(values | {"fill": "reflect"}), 3)
    assert nearest.min() == 100
    assert (constant == 0).any()
    grey = AugmentationConfig.from_json(values | {"fill": "constant", "fill_value": 1.0})
    assert preview(picture, grey, 3).max() == 255
    ramp = np.repeat((np.arange(48) * 5).astype(np.uint8)[None, None], 48, axis=1)
    ramps = np.repeat(ramp, 100, axis=0)
    mirrored = preview(ramps, AugmentationConfig.from_json(values | {"fill": "reflect"}), 3).astype(int)
    row = next(image[0] for image in mirrored if image[0].argmin() > 6)  # moved right: the start is mirrored
    turn = row.argmin()
    np.testing.assert_allclose(row[turn + 1 : turn + 5], row[turn - 1 : turn - 5 : -1], atol=6)
    assert reflect.min() == 100


def test_strength_per_class():
    config = AugmentationConfig(rotation=10, flip=True, class_strength={"disgust": 3, "happy": 0})
    labels = np.repeat([0, 1, 3], 200)
    maps = Augmenter(config).parameters(labels, (1,))
    angles = np.rad2deg(np.arcsin(np.abs(maps[:, 3])))
    assert [angles[labels == n].max().round() for n in (0, 1, 3)] == [10, 30, 0]
    assert (maps[labels == 3, 0] > 0).all()  # never mirrored either


EVERYTHING = AugmentationConfig(
    rotation=40,
    shift_x=0.3,
    shift_y=0.2,
    shear=20,
    zoom=0.5,
    crop=0.3,
    brightness=0.7,
    contrast=0.9,
    cutout=0.5,
)


@pytest.mark.parametrize("name", ["none", "A", "B", "C", "D", "ours", *FILLS])
def test_training_layer_and_preview_draw_the_same_pixels(name: str):
    """The compiled layer of a training step, the layer itself and the page's preview: equal in every bit."""
    from fer import backend
    from fer.augmentation.layer import Augment

    values = EVERYTHING.to_json() | {"fill": name, "fill_value": 0.3, "flip": True}
    config = PRESETS[name] if name in PRESETS else AugmentationConfig.from_json(values)
    count = 24 * 7
    faces, labels = np.resize(FACES, (count, 48, 48)), np.arange(count) % 7
    parameters = Augmenter(config).parameters(labels, augmentation_seed(9, 0, 0))
    layer = Augment(config)
    numpy = Augmenter(config).numpy(faces, parameters)
    shown = preview(faces, config, 9, labels)
    for call in (layer, backend.compiled(lambda images, drawn: layer(images, drawn))):
        trained = np.asarray(call(faces, parameters))[..., 0]
        assert trained.dtype == np.float32
        np.testing.assert_array_equal(trained, numpy)
        np.testing.assert_array_equal(np.rint(trained * 255).astype(np.uint8), shown)


def test_training_draws_what_the_preview_shows(cache: object):
    """The first batch of a training is the preview of its images: one object draws for both."""
    from fer.data.dataset import save_dataset
    from fer.training.data import Batches, load_data
    from fer.training.network import preparer
    from tests.training.conftest import bars, quick

    images, labels = bars()
    splits = np.tile([0, 0, 0, 1], 14)
    dataset = save_dataset("bars", images, labels, splits, [str(n) for n in range(56)])
    config = quick(dataset, augmentation=PRESETS["A"], seed=11)
    data = load_data(config)
    batches = Batches(config, data, data.splits["train"], 0, True, np.ones(7))
    order = batches.order(0)
    trained = np.asarray(preparer(config.augmentation, False)(batches.batch(order, 0, 0)))[..., 0]
    first = order[:16]
    shown = preview(images[first], config.augmentation, 11, labels[first])
    np.testing.assert_array_equal(np.rint(trained * 255).astype(np.uint8), shown)


@pytest.mark.quiet
def test_preview_of_a_grid_is_quick():
    preview(FACES, PRESETS["B"], 0)
    started = time.perf_counter()
    preview(FACES, PRESETS["B"], 1)
    assert time.perf_counter() - started < 0.4


class TestOutOfFrame:
    def test_measured_shares(self):
        assert out_of_frame(PRESETS["none"]) == 0
        assert out_of_frame(PRESETS["A"]) < 0.03
        assert out_of_frame(PRESETS["B"]) > 0.1
        assert out_of_frame(AugmentationConfig(flip=True)) == 0

    def test_agrees_with_pixels_that_are_counted(self):
        """Shift a white ellipse in a black picture and count what is left of it."""
        rows, columns = np.mgrid[:48, :48]
        face = (((columns - 23.5) / 17) ** 2 + ((rows - 25.5) / 20) ** 2 <= 1).astype(np.uint8) * 255
        config = AugmentationConfig(shift_x=0.4, fill="constant")
        left = preview(np.repeat(face[None], 500, 0), config, 0) > 127
        lost = 1 - left.sum(axis=(1, 2)).mean() / (face > 0).sum()
        assert out_of_frame(config) == pytest.approx(lost, abs=0.02)

    def test_warning_names_the_cause(self):
        assert frame_warning(PRESETS["A"]) is None
        assert "shift x" in frame_warning(AugmentationConfig(shift_x=0.5, rotation=5))


class TestPresets:
    def test_the_studies(self):
        assert PRESETS["A"].shear == 0.1
        assert PRESETS["B"].shear == 23
        assert (PRESETS["B"].brightness, PRESETS["B"].fill) == (0.5, "constant")
        assert (PRESETS["C"].rotation, PRESETS["C"].zoom) == (20, 0.1)

    def test_saved_ones_are_listed_and_removed(self):
        save_preset("mine", AugmentationConfig(rotation=3, class_strength={"fear": 2}))
        assert preset("mine").class_strength == {"fear": 2}
        assert list(list_presets()) == [*PRESETS, "mine"]
        delete_preset("mine")
        with pytest.raises(UnknownName, match="mine"):
            preset("mine")

    @pytest.mark.parametrize("name", ["A", "../x", "", "con"])
    def test_names_that_cannot_be_saved(self, name: str):
        with pytest.raises(UserError):
            save_preset(name, AugmentationConfig())


@given(
    st.fixed_dictionaries(
        {}, optional={"rotation": st.floats(0, 180), "shear": st.floats(0, 60), "flip": st.booleans()}
    )
)
def test_round_trip(values: dict):
    config = AugmentationConfig(**values)
    assert AugmentationConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "values",
    [
        {"rotation": 181},
        {"rotation": float("nan")},
        {"zoom": -0.1},
        {"fill": "wrap"},
        {"flip": 1},
        {"class_strength": {"bored": 1}},
        {"class_strength": {"fear": 9}},
    ],
)
def test_limits(values: dict):
    with pytest.raises(UserError):
        AugmentationConfig(**values)
