"""BatchNorm statistics of the images as they are: exact, kept only where they validate better, resumable."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from fer.augmentation import AugmentationConfig
from fer.data.dataset import Dataset
from fer.models.loading import load_model
from fer.training import fit as fit_module
from fer.training.config import Phase, TrainConfig
from fer.training.fit import fit
from fer.training.settling import normalizations, settle
from tests.training.conftest import bars, quick, tiny_dataset

SMALL = {"widths": (4, 6), "blocks": (1, 1), "dropout": 0.0}
Pair = Callable[[str], tuple[Path, Path, fit_module.FitResult, list[str]]]


def never() -> bool:
    return False


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(name="first"),
            keras.layers.ReLU(),
            keras.Sequential([keras.layers.BatchNormalization(name="inner")], name="block"),
            keras.layers.BatchNormalization(name="frozen", trainable=False),
        ]
    )


@pytest.mark.parametrize("batch", [16, 56])  # the last of the first is half full
def test_statistics_are_those_of_all_images_and_nothing_else_changes(batch: int):
    model, (images, _) = network(), bars()
    assert [layer.name for layer in normalizations(model)] == ["first", "inner"]
    before = {variable.path: np.array(variable) for variable in model.variables}
    assert settle(model, images, batch, never)
    first = model.get_layer("first")
    seen = np.asarray(model.get_layer("conv")(images[..., None].astype(np.float32) / 255))
    np.testing.assert_allclose(np.array(first.moving_mean), seen.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(np.array(first.moving_variance), seen.var((0, 1, 2)), rtol=1e-4)
    changed = [v.path for v in model.variables if not np.array_equal(before[v.path], np.array(v))]
    assert sorted(path.rsplit("/", 2)[-2] for path in changed) == ["first"] * 2 + ["inner"] * 2
    assert all("moving" in path for path in changed)
    assert first.momentum == 0.99


def test_stopped_it_leaves_everything_as_it_was():
    model, calls = network(), iter([False, False, True])
    before = [np.array(variable) for variable in model.variables]
    assert not settle(model, bars()[0], 16, lambda: next(calls))
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)


def test_dropout_is_off_meanwhile():
    """What it lets through varies more than what is classified later, at random."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    dropouts = [layers.SpatialDropout2D(0.3), layers.Dropout(0.5), layers.GaussianDropout(0.4)]
    inner = keras.Sequential([*dropouts, layers.Conv2D(4, 3, name="conv")])
    model = keras.Sequential([keras.Input((48, 48, 1)), layers.Conv2D(6, 3), inner,
                              layers.BatchNormalization(name="last")])  # fmt: skip
    images, _ = bars()
    before = [np.array(variable) for variable in model.variables if "seed" in variable.path]
    assert settle(model, images, 16, never)
    seen = np.asarray(inner(model.layers[0](images[..., None].astype(np.float32) / 255), training=False))
    found = model.get_layer("last")
    np.testing.assert_allclose(np.array(found.moving_variance), seen.var((0, 1, 2)), rtol=1e-3)
    assert [layer.rate for layer in dropouts] == [0.3, 0.5, 0.4]
    after = [np.array(variable) for variable in model.variables if "seed" in variable.path]
    np.testing.assert_array_equal(after, before)


def dimmed(dataset: Dataset, **changes: object) -> TrainConfig:
    """A training that sees images much darker and brighter than they are."""
    values = {
        "model": "resnet_se",
        "model_options": SMALL,
        "settle": True,
        "phases": (Phase(epochs=3, learning_rate=1e-2),),
        "augmentation": AugmentationConfig(brightness=0.5),
    }
    return quick(dataset, **(values | changes))


@pytest.fixture(autouse=True)
def no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    def finished(self: fit_module.Training) -> fit_module.FitResult:
        return fit_module.FitResult(False, self._training_metrics())

    monkeypatch.setattr(fit_module.Training, "_evaluate", finished)


def best(directory: Path) -> tuple[dict, dict[str, np.ndarray]]:
    model = load_model(directory / "best.keras")
    recorded = json.loads((directory / "best.json").read_text())
    return recorded, {variable.path: np.array(variable) for variable in model.variables}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """monitor → a training without and one with `settle`, the latter's result and texts; made once each."""

    @functools.cache
    def made(monitor: str) -> tuple[Path, Path, fit_module.FitResult, list[str]]:
        dataset, folder, shown = tiny_dataset(), tmp_path_factory.mktemp(monitor), []
        plain, settled = folder / "plain", folder / "settled"
        fit(dimmed(dataset, settle=False, checkpoint_monitor=monitor), plain)
        config = dimmed(dataset, checkpoint_monitor=monitor)
        return plain, settled, fit(config, settled, lambda _, text: shown.append(text)), shown

    return made


@pytest.mark.parametrize("monitor", ["val_loss", "last"])
def test_a_run_ends_with_them_and_without_another_weight(pair: Pair, monitor: str):
    without, settled, result, shown = pair(monitor)
    (plain, old), (recorded, new) = best(without), best(settled)
    assert "settled" not in plain
    assert recorded["settled"]
    assert monitor == "last" or recorded["val_loss"] < plain["val_loss"]
    assert recorded["val_loss"] == result.metrics["val_loss"] != plain["val_loss"]
    for path, value in new.items():
        assert np.array_equal(value, old[path]) == ("moving" not in path), path
    assert any("BatchNorm" in text for text in shown)


def test_statistics_that_validate_worse_are_not_kept(
    tiny: Dataset, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def spoil(model: keras.Model, images: np.ndarray, batch: int, should_stop: Callable[[], bool]) -> bool:
        for layer in normalizations(model):
            layer.moving_mean.assign(layer.moving_mean + 100)
        return True

    without, *_ = pair("val_loss")
    monkeypatch.setattr(fit_module, "settle", spoil)
    fit(dimmed(tiny, checkpoint_monitor="val_loss"), tmp_path / "spoiled")
    (plain, old), (recorded, new) = best(without), best(tmp_path / "spoiled")
    assert recorded == plain | {"settled": False}
    for path, value in new.items():
        np.testing.assert_array_equal(value, old[path])


def test_stopped_and_resumed_it_comes_to_the_same(tiny: Dataset, pair: Pair, tmp_path: Path):
    config = dimmed(tiny, checkpoint_monitor="val_loss")
    _, uncut, *_ = pair("val_loss")
    asked: list[str] = []

    def while_it_settles() -> bool:
        return any("BatchNorm" in text for text in asked)

    assert fit(config, tmp_path / "cut", lambda _, text: asked.append(text), while_it_settles).stopped
    assert "settled" not in json.loads((tmp_path / "cut" / "best.json").read_text())
    assert not fit(config, tmp_path / "cut").stopped
    (whole, expected), (cut, found) = best(uncut), best(tmp_path / "cut")
    assert cut == pytest.approx(whole, abs=1e-6)
    for path, value in found.items():
        np.testing.assert_allclose(value, expected[path], atol=1e-6, err_msg=path)
    changed = (tmp_path / "cut" / "best.keras").stat().st_mtime_ns
    fit(config, tmp_path / "cut")  # a finished one is not settled again
    assert (tmp_path / "cut" / "best.keras").stat().st_mtime_ns == changed
