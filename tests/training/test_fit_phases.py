"""What the settings of a config come to inside `fit`: freezing, rates, starts, weights, variation, averages.

Steps run eagerly: tracing takes longer than these trainings.
"""

import csv
import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from fer.augmentation import PRESETS, AugmentationConfig
from fer.data.dataset import Dataset
from fer.models import MODELS
from fer.models.loading import load_model
from fer.training import fit as fit_module
from fer.training import network
from fer.training.config import Phase
from fer.training.data import Batch
from fer.training.errors import DiskFull, OutOfMemory
from fer.training.fit import Training, fit, validation_figures
from fer.training.state import State
from tests.training.conftest import bars, quick

SMALL = {"widths": (4, 6), "blocks": (1, 1), "ratio": 0}
Weights = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def eagerly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No graphs, and no final evaluation, which these tests do not look at."""
    import tensorflow as tf

    monkeypatch.setattr(
        Training, "_evaluate", lambda self: fit_module.FitResult(False, self._training_metrics())
    )
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def column(directory: Path, name: str) -> list[float]:
    with open(directory / "history.csv", newline="", encoding="utf-8") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def weights(model: keras.Model) -> Weights:
    return {v.path: np.array(v) for v in model.variables if "seed_generator" not in v.path}


def around(monkeypatch: pytest.MonkeyPatch, method: str, look: Callable[[Training, tuple], None]) -> None:
    """Call `look(training, arguments)` before each call of a method of `Training` and after it."""
    original = getattr(Training, method)

    def watched(self: Training, *arguments: object) -> object:
        look(self, arguments)
        result = original(self, *arguments)
        look(self, arguments)
        return result

    monkeypatch.setattr(Training, method, watched)


def test_staged_unfreezing(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Study B's schedule: head, a range, a larger one, the head again; each phase leaves alone what it
    freezes, the normalisations' statistics too, and moves what it trains."""
    model = MODELS["resnet_se"].build(**SMALL)
    names = [layer.name for layer in model.layers]
    weighted = {layer.name for layer in model.layers if layer.weights}
    end, late, early = (names.index(n) for n in ("features", "stage2_block1_conv2", "stage1_block1_conv1"))
    stages = ["head", f"layers {late}-{end}", f"layers {early}-{end}", "head", "all"]
    trained = [weighted & {*names[start:end], "logits"} for start in (end, late, early, end, 0)]
    assert [len(part) for part in trained] == [*sorted({len(part) for part in trained[:3]}), 1, len(weighted)]
    phases = [
        Phase(name=f"stage {n}", epochs=1, optimizer="adamw", learning_rate=0.01, weight_decay=0.1,
              trainable=trainable, start="last")
        for n, trainable in enumerate(stages)
    ]  # fmt: skip
    seen: list[Weights] = []
    around(monkeypatch, "_phase", lambda training, _: seen.append(weights(training.model)))
    fit(quick(tiny, model="resnet_se", model_options=SMALL, phases=tuple(phases)), tmp_path)
    for stage, wanted, before, after in zip(stages, trained, seen[::2], seen[1::2], strict=True):
        changed = {path.split("/")[0] for path in after if not np.array_equal(before[path], after[path])}
        assert changed == wanted, stage


def test_class_weights_reach_the_loss(tiny: Dataset, tmp_path: Path):
    """The loss of an epoch at no rate to speak of, by hand from the network, the labels and the weights."""
    config = quick(
        tiny,
        model_options={"dropout": 0.0},
        phases=(Phase(epochs=1, learning_rate=1e-12),),
        class_weights={"disgust": 15, "fear": 8},
        label_smoothing=0.2,
        batch_size=14,  # 56 images: no batch is filled up
    )
    fit(config, tmp_path)
    images, labels = bars()
    p = np.asarray(load_model(tmp_path / "best.keras")(images[..., None].astype(np.float32) / 255))
    targets = 0.8 * np.eye(7)[labels] + 0.2 / 7
    losses = np.array([1, 15, 8, 1, 1, 1, 1])[labels] * -(targets * np.log(p)).sum(axis=1)
    assert column(tmp_path, "loss") == [pytest.approx(losses.mean(), rel=1e-4)]


def fake_figures(monkeypatch: pytest.MonkeyPatch, *rows: tuple[float, float, float]) -> None:
    """Validations give these losses, accuracies and macro F1 one after the other; None keeps the true one."""
    upcoming = iter(rows)

    def figures(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        given = dict(zip(("val_loss", "val_accuracy", "val_macro_f1"), next(upcoming), strict=True))
        return validation_figures(probabilities, labels) | {k: v for k, v in given.items() if v is not None}

    monkeypatch.setattr(fit_module, "validation_figures", figures)


def test_a_plateau_of_its_own_figure_lowers_the_rate(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The accuracy never rises; the loss rises in the first phase and falls in the second."""
    fake_figures(monkeypatch, *((loss, 0.5, 0.5) for loss in (1, 2, 3, 4, 9, 8, 7, 1, 2)))
    plateau = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.5, "start": "last"}
    phases = (
        Phase(name="a", epochs=4, learning_rate=0.08, plateau_monitor="val_accuracy", **plateau),
        Phase(name="b", epochs=3, learning_rate=0.03, plateau_monitor="val_loss", **plateau),
        Phase(name="c", epochs=2, learning_rate=0.01, plateau_monitor="val_accuracy", **plateau),
    )
    fit(quick(tiny, phases=phases, limit=14), tmp_path)
    rates = [0.08, 0.08, 0.04, 0.02, 0.03, 0.03, 0.03, 0.01, 0.01]
    assert column(tmp_path, "learning_rate") == pytest.approx(rates)


def test_each_figure_decides_what_it_was_chosen_for(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Losses are best in epoch 1, accuracies in 2, macro F1 in 3; early stopping after two worse ones."""
    rows = [(1.0, 0.2, 0.1), (2.0, 0.4, 0.2), (3.0, 0.3, 0.3), (4.0, 0.3, 0.2), (5.0, 0.3, 0.2)]
    for checkpoint, best in (("val_loss", 1), ("val_accuracy", 2), ("val_macro_f1", 3)):
        fake_figures(monkeypatch, *rows)
        changes = {"checkpoint_monitor": checkpoint, "early_stopping_monitor": checkpoint}
        config = quick(tiny, phases=(Phase(epochs=5),), limit=14, early_stopping_patience=2, **changes)
        metrics = fit(config, tmp_path / checkpoint).metrics
        assert (metrics["best_epoch"], metrics["epochs"]) == (best, best + 2)
        assert metrics["val_loss"] == best


def test_a_phase_starts_from_the_last_or_the_best_weights(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Epoch 1 is called the best; later phases hardly move, so their losses say where they began."""
    fake_figures(monkeypatch, *((None, 1 / (1 + n), None) for n in range(4)))
    still = {"epochs": 1, "learning_rate": 1e-12}
    phases = (
        Phase(name="moves", epochs=2, learning_rate=3e-3),
        Phase(name="from the last", start="last", **still),
        Phase(name="from the best", start="best", **still),
    )
    fit(quick(tiny, phases=phases), tmp_path)
    first, second, from_last, from_best = column(tmp_path, "val_loss")
    assert abs(first - second) > 0.01
    assert from_last == pytest.approx(second, abs=1e-5)
    assert from_best == pytest.approx(first, abs=1e-5)


@pytest.mark.parametrize("when", ["as it begins, by an earlier version", "at its first epoch"])
def test_a_phase_that_failed_starts_from_the_same_weights_again(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
):
    """Its first epoch is the best, and on the disk, when the state cannot be written."""
    late = when == "at its first epoch"
    losses = [2, 1, 3, 2, *([1] if late else []), 1, 3]  # whole, cut, resumed
    fake_figures(monkeypatch, *((loss, None, None) for loss in losses))
    phases = tuple(Phase(name=name, epochs=n, learning_rate=3e-3) for name, n in (("a", 1), ("b", 2)))
    config = quick(tiny, phases=phases, limit=14, checkpoint_monitor="val_loss")
    fit(config, tmp_path / "whole")
    save, last = fit_module.save_state, tmp_path / "cut" / "last"

    def full(state: State, directory: Path) -> None:
        if state.epoch == 2 if late else state.from_best:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, directory)

    monkeypatch.setattr(fit_module, "save_state", full)
    with pytest.raises(DiskFull):
        fit(config, tmp_path / "cut")
    monkeypatch.setattr(fit_module, "save_state", save)
    if when.endswith("version"):
        forget(last, "from_best")
    fit(config, tmp_path / "cut")
    assert column(tmp_path / "cut", "loss") == pytest.approx(column(tmp_path / "whole", "loss"), abs=1e-6)


def forget(directory: Path, name: str) -> None:
    """Take a value out of the states in a directory, as a version that did not know it left them."""
    for path in directory.glob("*.npz"):
        with np.load(path) as archive:
            arrays = dict(archive)
        content = json.loads(arrays["state"].tobytes())
        del content[name]
        arrays["state"] = np.frombuffer(json.dumps(content).encode(), np.uint8)
        np.savez(path, **arrays)


def test_resumed_after_its_phases_it_settles_what_the_last_one_trained(tiny: Dataset, tmp_path: Path):
    """That one trained the head alone, so BatchNorm's statistics stay."""
    config = quick(tiny, model="resnet_se", model_options=SMALL, settle=True, checkpoint_monitor="last",
                   limit=14, augmentation=AugmentationConfig(brightness=0.5),
                   phases=(Phase(epochs=1), Phase(name="head", epochs=1, trainable="head")))  # fmt: skip
    fit(config, tmp_path / "whole")
    shown: list[str] = []
    assert fit(
        config, tmp_path / "cut", lambda _, text: shown.append(text), lambda: "BatchNorm" in "".join(shown)
    ).stopped
    fit(config, tmp_path / "cut")
    best = [weights(load_model(tmp_path / name / "best.keras")) for name in ("whole", "cut")]
    assert best[0].keys() == best[1].keys()
    for path in best[0]:
        np.testing.assert_allclose(best[1][path], best[0][path], atol=1e-6, err_msg=path)


def test_a_phase_varies_its_images_or_not(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[str, Batch, np.ndarray]] = []

    def look(training: Training, arguments: tuple) -> None:
        batch, images = arguments[:2]
        phase = training.config.phases[training.state.phase].name
        seen.append((phase, batch, np.array(images)))

    around(monkeypatch, "_step", look)
    phases = (Phase(name="plain", epochs=1, augment=False), Phase(name="varied", epochs=1))
    fit(quick(tiny, phases=phases, augmentation=PRESETS["A"], limit=28), tmp_path)
    assert {phase for phase, _, _ in seen} == {"plain", "varied"}
    for phase, batch, images in seen:
        untouched = np.abs(images[..., 0] - batch.images / 255).max(axis=(1, 2)) < 1e-6
        assert untouched.all() == (phase == "plain"), phase
        moved = np.ptp(batch.parameters[:, :8], axis=0) > 0  # the rest is where a hole would be
        assert moved.any() == (phase == "varied"), phase
        assert phase == "plain" or untouched.mean() < 0.2


def test_averaged_weights_are_validated_and_saved(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And training goes on with the weights themselves, by hand from what the steps left behind."""
    seen: list[list[np.ndarray]] = []
    around(
        monkeypatch, "_step", lambda t, _: seen.append([np.array(v) for v in t.trainer.trainable_variables])
    )
    config = quick(tiny, ema=0.6, phases=(Phase(epochs=2, optimizer="sgd", learning_rate=0.1),),
                   model_options={"dropout": 0.0}, checkpoint_monitor="last", batch_size=28)  # fmt: skip
    fit(config, tmp_path)
    before, after = seen[::2], seen[1::2]
    for one, other in zip(after[:-1], before[1:], strict=True):
        for left, found in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, found)
    average = after[0]
    for step in after[1:]:
        average = [0.6 * mean + 0.4 * new for mean, new in zip(average, step, strict=True)]
    best = load_model(tmp_path / "best.keras")
    for mean, last, saved in zip(average, after[-1], best.trainable_variables, strict=True):
        np.testing.assert_allclose(np.array(saved), mean, atol=1e-6)
        assert not np.allclose(mean, last, atol=1e-5)
    images, labels = bars((4,) * 7, 1)
    p = network.predict(best, images, 28, lambda: False)
    assert column(tmp_path, "val_loss")[-1] == pytest.approx(-np.log(p[range(28), labels]).mean(), abs=1e-5)


@pytest.mark.parametrize("kind", ["of TensorFlow", "of Python", "in validation"])
def test_memory_that_runs_out_is_typed(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """TensorFlow's own exception and Python's, from inside Keras's step."""
    import tensorflow as tf

    def exhausted(*_: object, **__: object) -> None:
        if kind == "of Python":
            raise MemoryError
        message = "OOM when allocating tensor with shape[16,64,46,46] and type float"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    method = "predict_on_batch" if kind == "in validation" else "train_on_batch"
    monkeypatch.setattr(keras.Model, method, exhausted)
    with pytest.raises(OutOfMemory, match="One step with 16 images needs more") as caught:
        fit(quick(tiny, phases=(Phase(epochs=1),), limit=14), tmp_path)
    assert caught.value.settings == {"batch_size": 8}
    assert caught.value.kind == "out_of_memory"
    assert caught.value.remedy == "Halve the batch size to 8."
    assert isinstance(caught.value.__cause__, MemoryError | tf.errors.ResourceExhaustedError)
