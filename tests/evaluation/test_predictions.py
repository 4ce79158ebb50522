"""Predictions are the network's own, computed once, and stored under the network they came from."""

import keras
import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import inference, predictions
from fer.evaluation.predictions import evaluate_run, load_predictions, predict_probabilities
from fer.evaluation.trained import trained_run
from fer.models import MODELS
from tests.evaluation.builders import tiny_dataset, tiny_run


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return MODELS["baseline_cnn"].build()


def reference(model, images):
    return model.predict(np.asarray(images)[..., None] / np.float32(255), verbose=0)


@pytest.mark.parametrize("batch", [1, 4, None])
def test_probabilities_are_those_of_model_predict_whatever_the_batch(model, batch):
    images = np.random.default_rng(0).integers(0, 256, (9, 48, 48), dtype=np.uint8)
    found = predict_probabilities(model, images, batch)
    assert found.dtype == np.float32
    assert found == pytest.approx(reference(model, images), abs=1e-5)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_network_is_traced_once_for_all_batches():
    traced = []

    @keras.saving.register_keras_serializable(package="test")
    class Counter(keras.layers.Layer):
        def call(self, inputs):
            traced.append(inputs.shape)
            return inputs

    inputs = keras.Input((48, 48, 1))
    outputs = keras.layers.Softmax()(keras.layers.Dense(7)(keras.layers.Flatten()(Counter()(inputs))))
    network = keras.Model(inputs, outputs)
    before = len(traced)
    predict_probabilities(network, np.zeros((10, 48, 48), np.uint8), batch=4)
    assert len(traced) == before + 1
    assert traced[-1][0] == 4


def test_cancelling_and_progress(model):
    images, seen = np.zeros((8, 48, 48), np.uint8), []
    with pytest.raises(predictions.Stopped):
        predict_probabilities(model, images, 2, lambda f, text: seen.append(f), lambda: len(seen) == 2)
    assert seen == [0.25, 0.5]


def test_shapes_that_do_not_fit_are_refused_in_words(model):
    with pytest.raises(UserError, match=r"\(1, 64, 64\); expected \(N, 48, 48\)"):
        predict_probabilities(model, np.zeros((1, 64, 64), np.uint8))
    coloured = keras.Sequential([keras.Input((96, 96, 3)), keras.layers.Flatten(), keras.layers.Dense(7)])
    with pytest.raises(UserError, match=r"\(96, 96, 3\)"):
        predict_probabilities(coloured, np.zeros((1, 48, 48), np.uint8))


def test_a_large_network_gets_a_smaller_batch(model):
    assert inference.fitting_batch(model) == 256
    inputs = keras.Input((48, 48, 1))
    wide = keras.layers.UpSampling2D(32)(inputs)  # 1536 x 1536
    assert inference.fitting_batch(keras.Model(inputs, wide)) == 32


def test_a_run_is_predicted_once_and_its_splits_are_its_own(tmp_path, monkeypatch):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    first = evaluate_run(run)
    splits = np.load(run / "splits.npz")
    assert np.array_equal(first.indices, np.sort(np.concatenate([splits["validation"], splits["test"]])))
    assert np.array_equal(first.indices[first.splits == 1], splits["validation"])
    network = predictions.load_network(run)
    assert first.probabilities == pytest.approx(reference(network, dataset.images[first.indices]), abs=1e-5)
    assert first.latency > 0
    monkeypatch.setattr(predictions, "load_network", lambda run: pytest.fail("already stored"))
    assert np.array_equal(evaluate_run(run).probabilities, first.probabilities)
    assert np.array_equal(load_predictions(run).probabilities, first.probabilities)


def test_asking_for_another_split_adds_to_what_is_stored(tmp_path):
    run = tiny_run(tmp_path / "run", tiny_dataset())
    test_only = evaluate_run(run, splits=("test",))
    everything = evaluate_run(run, splits=("train", "validation", "test"))
    assert (np.diff(everything.indices) > 0).all()
    assert set(everything.splits) == {0, 1, 2}
    assert np.array_equal(everything.of(test_only.indices), test_only.probabilities)
    assert test_only.of(everything.indices) is None


def test_a_changed_network_outdates_its_predictions(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    before = evaluate_run(run)
    tiny_run(run, dataset, weights_seed=5)
    assert load_predictions(run) is None
    assert not np.allclose(evaluate_run(run).probabilities, before.probabilities)


def test_a_damaged_predictions_file_counts_as_none(tmp_path):
    run = tiny_run(tmp_path / "run", tiny_dataset())
    evaluate_run(run)
    content = (run / "predictions.npz").read_bytes()
    (run / "predictions.npz").write_bytes(content[: len(content) // 2])
    assert load_predictions(run) is None
    assert len(evaluate_run(run).indices)


def test_removed_classes_have_probability_zero_and_no_images(tmp_path):
    dataset = tiny_dataset()
    kept = tuple(name for name in EMOTIONS if name != "disgust")
    run = tiny_run(tmp_path / "run", dataset, classes=kept)
    found = evaluate_run(run)
    assert found.probabilities.shape[1] == 7
    assert (found.probabilities[:, 1] == 0).all()
    assert found.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert 1 not in dataset.labels[found.indices]


def test_another_data_set_without_train(tmp_path):
    run = tiny_run(tmp_path / "run", tiny_dataset())
    other = tiny_dataset("other", seed=3, splits=("test",))
    found = evaluate_run(run, other, ("test",))
    assert len(found.indices) == len(other)
    assert (run / f"predictions-{other.fingerprint}.npz").exists()
    assert not (run / "predictions.npz").exists()
    with pytest.raises(UserError, match=r"'other' has no images in split 'train'.*Choose from: test"):
        evaluate_run(run, other, ("train",))


def test_broken_runs_say_what_is_wrong(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset, classes=EMOTIONS[:6])
    (run / "config.json").write_text((run / "config.json").read_text().replace('"sad"', '"sad", "surprise"'))
    with pytest.raises(UserError, match="has 6 outputs, but its configuration names 7 classes"):
        evaluate_run(run)
    (run / "best.keras").write_bytes((run / "best.keras").read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        evaluate_run(run)
    (run / "best.keras").unlink()
    with pytest.raises(UserError, match="no trained network yet"):
        evaluate_run(run)


def test_the_stamp_survives_a_copy(tmp_path):
    import shutil

    run = tiny_run(tmp_path / "run", tiny_dataset())
    shutil.copytree(run, tmp_path / "copy")
    assert trained_run(tmp_path / "copy").stamp == trained_run(run).stamp


def test_latency_is_that_of_an_undisturbed_round_and_networks_take_turns(monkeypatch):
    """Other work on the computer slows rounds down; it must not change the figure."""
    asked: list[str] = []
    clock = 0.0

    def answer(model: str, image: np.ndarray) -> None:
        nonlocal clock
        asked.append(model)
        clock += {"small": 0.002, "large": 0.006}[model] * (5 if len(asked) < 60 else 1)

    monkeypatch.setattr(inference, "compiled_predict", answer)
    monkeypatch.setattr(inference.time, "perf_counter", lambda: clock)
    assert inference.latencies(["small", "large"]) == pytest.approx([0.002, 0.006])
    turns = [model for model, before in zip(asked, ["", *asked], strict=False) if model != before]
    assert turns == ["small", "large"] * (inference.LATENCY_ROUNDS + 1)
