"""Training and sampling: learning by heart, resuming, determinism, the strip, the U-Net itself."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import h5py
import keras
import numpy as np
import pytest
from keras import ops

from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.generation import network
from fer.generation.config import DiffusionConfig
from fer.generation.generators import Generator
from fer.generation.normalization import lighten
from fer.generation.quality import nearest
from fer.generation.sampling import Draws, Sampler, _loop, _pixels
from fer.generation.schedule import SCHEDULES, Schedule
from fer.generation.training import DiffusionTraining, Images
from tests.generation.conftest import bars, small


def train(config: DiffusionConfig, directory: Path, **options: object) -> DiffusionTraining:
    directory.mkdir(exist_ok=True)
    training = DiffusionTraining(config, directory, **options)
    training.result = training.run()
    return training


def history(directory: Path) -> np.ndarray:
    with open(directory / "history.csv", newline="", encoding="utf-8") as file:
        return np.array(
            [[float(row[k]) for k in ("epoch", "loss", "val_loss")] for row in csv.DictReader(file)]
        )


def after(steps: int) -> Callable[[], bool]:
    """A `should_stop` that turns True at its call number `steps`."""
    calls = iter(range(steps))
    return lambda: next(calls, None) is None


def test_the_network_has_about_2_4_million_parameters_and_starts_as_the_linear_predictor():
    schedule = Schedule("cosine", 1000)
    model = network.build(schedule, classes=2)
    assert model.count_params() == 2_392_305 + 3 * network.EMBEDDING
    images = np.random.default_rng(0).standard_normal((2, 48, 48, 1)).astype(np.float32)
    t = np.array([100, 999])
    noise = model([images, t, np.array([0, 2])])
    spread = np.sqrt(1 - schedule.kept[t])[:, None, None, None]
    np.testing.assert_allclose(noise, spread * images, atol=1e-6)
    assert any("attention" in layer.name for layer in model.layers)


def test_weighted_noise_error_is_the_error_of_the_velocity():
    """w(t) ‖ε - ε̂‖² = ‖v - v̂‖² with v = √ᾱ ε - √(1-ᾱ) x_0, whatever the network answers."""
    schedule = Schedule("cosine", 1000)
    random = np.random.default_rng(0)
    t = np.array([0, 300, 700, 990])
    image, noise, found = random.standard_normal((3, 4, 2304))
    signal, spread = np.sqrt(schedule.kept[t])[:, None], np.sqrt(1 - schedule.kept[t])[:, None]
    noisy = signal * image + spread * noise
    expected = np.square(signal * noise - spread * image - found).mean(axis=1)
    predicted = spread * noisy + signal * found  # what the last layers of the network compute
    weighted = schedule.loss_weights("velocity")[t] * np.square(noise - predicted).mean(axis=1)
    np.testing.assert_allclose(weighted, expected, rtol=1e-5)
    assert (schedule.loss_weights("noise") == 1).all()


@pytest.mark.parametrize("groups", [4, 8])
def test_the_lighter_group_normalisation_is_the_same_one(groups: int):
    images = keras.Input((6, 6, 16))
    model = keras.Model(images, keras.layers.GroupNormalization(groups, name="norm")(images))
    random = np.random.default_rng(0)
    model.set_weights([random.normal(1, 0.3, 16), random.normal(0, 1, 16)])
    x = random.normal(random.normal(0, 3, 16), random.uniform(0.5, 2, 16), (4, 6, 6, 16)).astype(np.float32)
    expected = np.asarray(model(x))
    assert lighten(model) == 1
    np.testing.assert_allclose(np.asarray(model.get_layer("norm")(x)), expected, atol=1e-4)


@pytest.mark.parametrize(("method", "steps"), [("ddim", 10), ("ddpm", 100)])
def test_sampling_finds_the_image_that_an_exact_predictor_knows(method: str, steps: int):
    """With ε̂ = (x_t - √ᾱ_t x_0) / √(1-ᾱ_t) every path ends at x_0, whatever the noise was."""
    schedule = Schedule("cosine", 100)
    image = (bars(1)[..., None].astype(np.float32) / 127.5 - 1) * 0.9
    draws = Draws(0, np.arange(2))
    kept = schedule.kept.astype(np.float32)

    def exact(x, t):
        share = ops.take(kept, t)
        return (x - ops.sqrt(share) * image) / ops.sqrt(1 - share)

    coefficients = ops.convert_to_tensor(schedule.coefficients(steps, method))
    visited = ops.convert_to_tensor(schedule.visited(steps).astype(np.int32))
    start, noise = ops.convert_to_tensor(draws.normal()), ops.convert_to_tensor(draws.several(steps))
    found = np.asarray(_loop(exact, start, noise, visited, coefficients))
    np.testing.assert_allclose(found, np.repeat(image, 2, axis=0), atol=1e-3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_an_exact_denoiser_of_eight_images_draws_one_of_the_eight(name: str):
    """E[x_0 | x_t] of eight images is a softmax over them; DDIM ends at one, and not always at the same.

    No training: what is checked is that sampling walks the steps that training learns on.
    """
    schedule = Schedule(name, 1000)
    images = ops.convert_to_tensor(bars().reshape(8, -1).astype(np.float32) / 127.5 - 1)
    kept = ops.convert_to_tensor(schedule.kept.astype(np.float32))

    def exact(x, t):
        share = ops.take(kept, t)
        flat = ops.reshape(x, (-1, 2304))
        squared = ops.sum(ops.square(flat[:, None] - ops.sqrt(share) * images[None]), axis=2)
        likely = ops.softmax(-squared / (2 * (1 - share)), axis=1) @ images
        return (x - ops.sqrt(share) * ops.reshape(likely, (-1, 48, 48, 1))) / ops.sqrt(1 - share)

    steps = ops.convert_to_tensor(schedule.coefficients(50, "ddim"))
    visited = ops.convert_to_tensor(schedule.visited(50).astype(np.int32))
    start = ops.convert_to_tensor(Draws(0, np.arange(16)).normal())
    nothing = ops.convert_to_tensor(np.zeros((1, 1, 1, 1, 1), np.float32))
    found = _pixels(_loop(exact, start, nothing, visited, steps))
    places, distances = nearest(bars(), found)
    assert distances.max() < 1  # of 255
    assert len(set(places[:, 0])) >= 4


@pytest.fixture
def eager() -> Iterator[None]:
    """Without graphs: what a step computes is the same, and tracing it takes longer than a hundred steps."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One residual block a resolution: the blocks are alike, and each costs its time."""
    monkeypatch.setattr(network, "BLOCKS", (1, 1))


def test_resumed_equals_uninterrupted(eight: Dataset, tmp_path: Path, shallow: None, eager: None):
    config = small(eight, epochs=3, batch_size=4, dropout=0.2, flip=True)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config, whole)
    stops = 0
    for calls in (1, 2, 5):  # within an epoch, in its validation, across its end in the next validation
        stops += train(config, cut, should_stop=after(calls)).result["stopped"]
    assert stops == 3
    finished = train(config, cut)
    assert not finished.result["stopped"]
    assert_same_training(cut, whole, epochs=3)
    assert not train(config, cut).result["stopped"]  # a finished one is not repeated
    assert len(history(cut)) == 3


def test_resumed_equals_uninterrupted_as_a_graph(eight: Dataset, tmp_path: Path, shallow: None):
    """What a graph could keep from its first step, such as the decay of the average, is not kept."""
    config = small(eight, batch_size=4, ema=0.999, widths=(8,))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(config, whole)
    assert train(config, cut, should_stop=after(5)).result["stopped"]  # within the second epoch
    assert not train(config, cut).result["stopped"]
    assert_same_training(cut, whole, epochs=2)


def assert_same_training(one: Path, other: Path, epochs: int) -> None:
    """The same history and the same averaged weights, the best and the last."""
    assert len(history(one)) == epochs
    np.testing.assert_allclose(history(one), history(other), rtol=0, atol=1e-5)
    for file in ("best.keras", "last.keras"):
        first, second = (stored_weights(folder / file) for folder in (one, other))
        assert first.keys() == second.keys()
        for name, values in first.items():
            np.testing.assert_allclose(values, second[name], atol=1e-4, err_msg=name)


def stored_weights(path: Path) -> dict[str, np.ndarray]:
    """`{name: values}` of a .keras file, without building its network."""
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stored:
        stored.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    assert len(found) > 50
    return found


def test_the_same_seed_draws_the_same_faces_whatever_is_drawn_with_them(eight: Dataset, shallow: None):
    config = small(eight)
    model = network.build(config.noise, 2, (8, 8))
    for variable in model.trainable_variables:  # away from zero
        variable.assign(variable + 0.02)
    sampler = Sampler(model, config.noise, config.classes)
    first = sampler.sample("fear", 3, seed=5, steps=25)
    again = sampler.sample("fear", 3, seed=5, steps=25)
    np.testing.assert_array_equal(first.images, again.images)
    alone = sampler.sample("fear", 1, seed=5, steps=25)
    assert np.abs(alone.images[0].astype(int) - first.images[0]).max() <= 1
    assert (sampler.sample("fear", 3, seed=6, steps=25).images != first.images).any()
    assert first.trajectory.shape[1:] == (3, 48, 48)
    assert len(first.trajectory) > 5
    np.testing.assert_array_equal(first.trajectory[-1], first.images)
    ancestral = sampler.sample("fear", 2, seed=5, steps=100, method="ddpm")
    np.testing.assert_array_equal(
        ancestral.images, sampler.sample("fear", 2, seed=5, steps=100, method="ddpm").images
    )
    told = sampler.sample("fear", 2, seed=5, steps=25, guidance=0)
    other = sampler.sample("disgust", 2, seed=5, steps=25, guidance=0)
    np.testing.assert_array_equal(told.images, other.images)  # guidance 0 ignores the class
    with pytest.raises(UserError, match="happy"):
        sampler.sample("happy")


def test_strips_of_samples_are_left_every_nth_epoch(eight: Dataset, tmp_path: Path, shallow: None):
    train(small(eight, epochs=3, samples_every=2), tmp_path / "run")
    strips = sorted((tmp_path / "run" / "samples").iterdir())
    assert [path.name for path in strips] == ["epoch-0002.png", "epoch-0003.png"]
    assert cv2.imread(str(strips[0]), cv2.IMREAD_GRAYSCALE).shape == (48, 8 * 48)


def test_batches_hold_the_noise_they_ask_for_and_hide_some_classes(eight: Dataset):
    config = small(eight, unconditional=0.5, batch_size=64)
    train = eight.indices("train")
    images = Images(config, eight.images[train], eight.labels[train])
    batch = images.batch(0, 0)
    noisy, t, classes = batch.inputs
    kept = config.noise.kept[t][:, None, None, None]
    clean = (noisy - np.sqrt(1 - kept) * batch.noise) / np.sqrt(kept)
    early = t < 50
    found = np.rint((clean[early, ..., 0] + 1) * 127.5)
    assert nearest(bars(), np.clip(found, 0, 255).astype(np.uint8))[1].max() < 1
    assert 0.3 < np.mean(classes == 2) < 0.7
    again = images.batch(0, 0)
    np.testing.assert_array_equal(again.noise, batch.noise)
    assert (images.batch(0, 1).noise != batch.noise).any()


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ()},
        {"classes": ("joy",)},
        {"epochs": 0},
        {"schedule": "quadratic"},
        {"ema": 1.0},
        {"widths": (12,)},
        {"widths": (8,) * 5},
        {"unconditional": 1.0},
        {"precision": "float16"},
    ],
)
def test_settings_outside_their_limits_are_refused(eight: Dataset, changes):
    with pytest.raises(UserError):
        small(eight, **changes)


def test_a_config_survives_its_json(eight: Dataset):
    config = small(eight, seed=3, limit=7)
    assert DiffusionConfig.from_json(config.to_json()) == config
    with pytest.raises(UserError, match="colour"):
        DiffusionConfig.from_json(config.to_json() | {"colour": 1})


def test_a_generator_is_opened_from_its_run(eight: Dataset, shallow: None, eager: None):
    from fer.runs import create_run, run_here

    run = create_run(small(eight, epochs=1, classes=("disgust",)).to_json(), kind="diffusion")
    run_here(run)
    status = run.status()
    assert (status.state, status.epoch, status.epochs) == ("finished", 1, 1), run.log_tail()
    generator = Generator(run)
    drawn = generator.sample("disgust", 2, seed=1, steps=5)
    assert drawn.images.shape == (2, 48, 48)
    assert drawn.settings["guidance"] == 1.0  # an unconditional network has no class to follow
    np.testing.assert_array_equal(generator.training_images("disgust"), eight.images[:4])
