"""Training end to end on the tiny data set: resume, determinism, failures, files."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer.augmentation import PRESETS
from fer.data.dataset import Dataset
from fer.training import fit as fit_module
from fer.training.config import Phase, TrainConfig
from fer.training.errors import DataError, DeviceError, DiskFull, NotANumber, OutOfMemory
from fer.training.fit import fit, validation_figures
from tests.training.conftest import quick

FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1", "learning_rate")


def history(directory: Path) -> list[dict[str, str]]:
    with open(directory / "history.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def figures(directory: Path) -> np.ndarray:
    return np.array([[float(row[name]) for name in FIGURES] for row in history(directory)])


def after(steps: int) -> Callable[[], bool]:
    """A `should_stop` that turns True at its call number `steps`."""
    calls = iter(range(steps))
    return lambda: next(calls, None) is None


@pytest.fixture
def no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the final evaluation, which these tests do not look at."""
    monkeypatch.setattr(
        fit_module.Training, "_evaluate", lambda self: fit_module.FitResult(False, self._training_metrics())
    )


def rich(dataset: Dataset) -> TrainConfig:
    """Everything with a memory at once: two phases, plateau, dropout, EMA, MixUp, augmentation, sampling."""
    return quick(
        dataset,
        phases=(
            Phase(name="head", epochs=1, trainable="head", optimizer="sgd", learning_rate=0.01),
            Phase(name="all", epochs=3, schedule="plateau", plateau_patience=1, warmup_epochs=0.5),
        ),
        augmentation=PRESETS["A"],
        mixup=0.2,
        cutmix=0.5,
        ema=0.9,
        label_smoothing=0.1,
        class_weights="balanced",
        oversample={"disgust": 10},
        gradient_accumulation=2,
    )


@pytest.mark.usefixtures("no_evaluation")
class TestResume:
    def test_resumed_anywhere_equals_uninterrupted(self, tiny: Dataset, tmp_path: Path):
        config = rich(tiny)
        whole, cut = tmp_path / "whole", tmp_path / "cut"
        assert not fit(config, whole).stopped
        stops = 0
        for steps in (3, 2, 6, 4):  # in the first epoch, at a start, across phases, in validation
            stops += fit(config, cut, should_stop=after(steps)).stopped
        assert stops == 4
        assert not fit(config, cut).stopped
        np.testing.assert_allclose(figures(cut), figures(whole), rtol=0, atol=1e-6)
        assert [row["epoch"] for row in history(cut)] == ["1", "2", "3", "4"]
        assert [row["phase"] for row in history(cut)] == ["head", "all", "all", "all"]

    def test_a_finished_training_is_not_repeated(self, tiny: Dataset, tmp_path: Path):
        config = quick(tiny, phases=(Phase(epochs=1),))
        fit(config, tmp_path)
        (buffer,) = (tmp_path / "last").iterdir()
        assert buffer.stat().st_size < 10_000
        before = (tmp_path / "history.csv").read_bytes(), (tmp_path / "best.keras").read_bytes()
        assert not fit(config, tmp_path).stopped
        assert ((tmp_path / "history.csv").read_bytes(), (tmp_path / "best.keras").read_bytes()) == before

    def test_torn_history_and_damaged_buffer_are_repaired(self, tiny: Dataset, tmp_path: Path):
        config = quick(tiny, phases=(Phase(epochs=3),))
        whole, cut = tmp_path / "whole", tmp_path / "cut"
        fit(config, whole)
        fit(config, cut, should_stop=after(4 + 1 + 4 + 1 + 1))  # two epochs of 4 steps and a validation
        newest = max((cut / "last").glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
        newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
        with open(cut / "history.csv", "a", encoding="utf-8") as file:
            file.write("3,0.1,0.")
        fit(config, cut)
        np.testing.assert_allclose(figures(cut), figures(whole), rtol=0, atol=1e-6)

    def test_best_is_never_replaced_by_worse_after_a_kill(self, tiny: Dataset, tmp_path: Path):
        config = quick(tiny, phases=(Phase(epochs=1),))
        fit(config, tmp_path)
        content = json.loads((tmp_path / "best.json").read_text())
        (tmp_path / "best.json").write_text(json.dumps(content | {"val_accuracy": 2.0}))
        before = (tmp_path / "best.keras").read_bytes()
        shutil.rmtree(tmp_path / "last")  # as if killed before the first state, after the first best
        fit(config, tmp_path)
        assert (tmp_path / "best.keras").read_bytes() == before


@pytest.mark.usefixtures("no_evaluation")
def test_same_config_same_history_and_another_seed_another(tiny: Dataset, tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(quick(tiny, seed=seed), tmp_path / name)
    np.testing.assert_array_equal(figures(tmp_path / "a"), figures(tmp_path / "b"))
    assert not np.allclose(figures(tmp_path / "a")[:, 0], figures(tmp_path / "c")[:, 0], atol=1e-4)


def test_learns_and_leaves_every_file(tiny: Dataset, tmp_path: Path):
    seen: list[float] = []
    config = quick(tiny, phases=(Phase(epochs=12, learning_rate=2e-3),))
    result = fit(config, tmp_path, progress=lambda fraction, text: seen.append(fraction))
    assert result.metrics["accuracy"] > 0.7
    assert result.metrics["split"] == "test"
    assert result.metrics["parameters"] == 57_527
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"config.json", "environment.json", "history.csv", "progress.json", "model.json"}
    assert names >= {"best.keras", "last", "splits.npz", "hashes.npy", "predictions.npz", "report.json"}
    assert TrainConfig.from_json(json.loads((tmp_path / "config.json").read_text())) == config
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert (progress["epoch"], progress["epochs"], progress["device"]) == (12, 12, "cpu")
    assert progress["precision"] == "float32"
    hashes = np.load(tmp_path / "hashes.npy")
    assert len(hashes) == 56 + 28
    best = max(history(tmp_path), key=lambda row: float(row["val_accuracy"]))
    assert result.metrics["val_accuracy"] == pytest.approx(float(best["val_accuracy"]))
    assert result.metrics["best_epoch"] == int(best["epoch"])


@pytest.mark.usefixtures("no_evaluation")
class TestFailures:
    def test_not_a_number_names_the_step_and_a_lower_rate(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def spoiled(phase: Phase, epoch: int, step: int, steps: int, scale: float) -> float:
            return float("nan") if (epoch, step) == (1, 1) else 1e-3

        monkeypatch.setattr(fit_module, "step_rate", spoiled)
        with pytest.raises(NotANumber, match=r"epoch 2, step 3 of 4") as caught:
            fit(quick(tiny), tmp_path)
        assert caught.value.settings == {"learning_rate": 1e-4}
        assert "0.0001" in caught.value.remedy
        assert len(history(tmp_path)) == 1

    def test_out_of_memory_offers_half_the_batch(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        class ResourceExhaustedError(Exception):
            """TensorFlow's, by name."""

        def exhausted(*_: object) -> None:
            raise ResourceExhaustedError("failed to allocate memory")

        monkeypatch.setattr(fit_module.Training, "_step", exhausted)
        with pytest.raises(OutOfMemory, match="16 images") as caught:
            fit(quick(tiny), tmp_path)
        assert caught.value.settings == {"batch_size": 8}
        assert "8" in caught.value.remedy

    def test_full_disk_leaves_the_best_unchanged(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        fit(quick(tiny, phases=(Phase(epochs=1),)), tmp_path)
        before = (tmp_path / "best.keras").read_bytes()

        def full(_: object, path: Path) -> None:
            Path(path).write_bytes(before[: len(before) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("keras.Model.save", full)
        shutil.rmtree(tmp_path / "last")
        (tmp_path / "best.json").unlink()  # so that the next epoch is the best and is saved
        with pytest.raises(DiskFull, match="disk is full"):
            fit(quick(tiny, phases=(Phase(epochs=1),)), tmp_path)
        assert (tmp_path / "best.keras").read_bytes() == before
        assert not list(tmp_path.glob(".staging-*"))

    def test_missing_data_set(self, tmp_path: Path):
        with pytest.raises(DataError, match="0123456789abcdef"):
            fit(TrainConfig(dataset="0123456789abcdef", device="cpu"), tmp_path)

    def test_a_gpu_that_is_not_there_is_an_error(self, tiny: Dataset, tmp_path: Path):
        with pytest.raises(DeviceError, match="gpu:0 cannot be used") as caught:
            fit(quick(tiny, device="gpu:0"), tmp_path)
        assert caught.value.settings == {"device": "cpu"}

    def test_layers_the_model_does_not_have(self, tiny: Dataset, tmp_path: Path):
        with pytest.raises(Exception, match="has 8 layers"):
            fit(quick(tiny, phases=(Phase(trainable="layers 3-99"),)), tmp_path)


@pytest.mark.usefixtures("no_evaluation")
def test_early_stopping_ends_the_phase(tiny: Dataset, tmp_path: Path):
    config = quick(
        tiny,
        phases=(Phase(name="one", epochs=9, learning_rate=1e-9), Phase(name="two", epochs=1)),
        early_stopping_patience=2,
    )
    fit(config, tmp_path)
    assert [row["phase"] for row in history(tmp_path)] == ["one"] * 3 + ["two"]


@pytest.mark.usefixtures("no_evaluation")
def test_hard_samples_are_the_wrong_ones(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = []
    original = fit_module.Training._find_hard

    def watched(self: fit_module.Training) -> bool:
        done = original(self)
        train = self.data.splits["train"]
        right = self._predict(train).argmax(axis=1) == self.data.labels[train]
        found.append((set(self.state.hard), set(train[~right])))
        return done

    monkeypatch.setattr(fit_module.Training, "_find_hard", watched)
    fit(quick(tiny, hard_samples=1), tmp_path)
    ((hard, wrong),) = found
    assert hard == wrong
    assert 0 < len(hard) < 56
    assert history(tmp_path)[-1]["phase"] == "hard samples"


@pytest.mark.usefixtures("no_evaluation")
@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "focal"},
        {"preprocessing": "standardise", "classes": ("angry", "fear", "happy", "sad")},
        {"phases": (Phase(epochs=1, optimizer="adamw", weight_decay=0.01, schedule="cosine"),)},
        {"precision": "bfloat16", "deterministic": False},
        {"precision": "float16", "deterministic": False, "ema": 0.9},
        {"limit": 20, "batch_size": 64},
    ],
    ids=["focal", "six classes", "adamw", "bfloat16", "float16", "limit"],
)
def test_variants_train_an_epoch(tiny: Dataset, tmp_path: Path, changes: dict):
    config = quick(tiny, **({"phases": (Phase(epochs=1),)} | changes))
    fit(config, tmp_path)
    (row,) = history(tmp_path)
    assert np.isfinite([float(row[name]) for name in FIGURES]).all()
    facts = json.loads((tmp_path / "model.json").read_text())
    assert facts["classes"] == list(config.classes)


def test_validation_figures():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], dtype=np.float32)
    result = validation_figures(probabilities, np.array([0, 1, 1]))
    assert result["val_accuracy"] == pytest.approx(2 / 3)
    assert result["val_loss"] == pytest.approx(-(np.log(0.5) + np.log(0.25) + np.log(0.8)) / 3)
    assert result["val_macro_f1"] == pytest.approx(2 / 3)
