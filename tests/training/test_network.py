"""A phase's trainer by what its steps do: what is frozen, decay, momentum, averages, losses, compilation.

Steps run eagerly on networks of a few weights where nothing is to be compiled: tracing takes longer.
"""

from collections.abc import Iterator

import keras
import numpy as np
import pytest

from fer import backend
from fer.errors import UserError
from fer.models import MODELS
from fer.training import network
from fer.training.averages import averaged_weights
from fer.training.config import Phase, TrainConfig

FACES = np.random.default_rng(0).random((6, 48, 48, 1), dtype=np.float32)
LABELS = np.eye(7, dtype=np.float32)[[0, 1, 2, 3, 4, 6]]
TINY = {"widths": (4, 6), "blocks": (1, 1), "ratio": 0}


def config(**changes: object) -> TrainConfig:
    return TrainConfig(**({"dataset": "d", "device": "cpu", "precision": "float32"} | changes))


def flat(normalised: bool = True) -> keras.Model:
    """(N, 3) → softmax over 7: most of what an optimizer meets, in milliseconds."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    x = keras.layers.Dense(5, name="hidden")(inputs)
    if normalised:
        x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dense(4, activation="tanh", name="features")(x)
    x = keras.layers.Dense(7, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(x))


def trainer_of(model: keras.Model, phase: Phase, **changes: object) -> keras.Model:
    trainer = network.compile_for(model, config(**changes), phase, "float32")
    trainer.run_eagerly = True
    return trainer


def step(trainer: keras.Model, inputs: np.ndarray, targets: np.ndarray) -> float:
    weights = np.ones(len(inputs), dtype=np.float32)
    logs = trainer.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)
    return float(logs["loss"])


def values(model: keras.Model) -> dict[str, np.ndarray]:
    """Every variable but the seeds of dropout, whose names count on from other models' in one process."""
    return {v.path: np.array(v) for v in model.variables if "seed_generator" not in v.path}


def changed(before: dict[str, np.ndarray], model: keras.Model) -> set[str]:
    """Names of the layers with a weight or statistic that is not what it was."""
    now = values(model)
    return {path.split("/")[0] for path in now if not np.array_equal(now[path], before[path])}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return network.build_network(config(model="resnet_se", model_options=TINY), "float32")


class TestFreezing:
    @pytest.mark.parametrize("trainable", ["all", "head", "backbone", "layers 5-9"])
    def test_a_step_changes_what_is_trainable_and_nothing_else(self, model: keras.Model, trainable: str):
        """Weights and BatchNorm's statistics, though the optimizer decays weights too."""
        weighted = [layer.name for layer in model.layers if layer.weights]
        names = [layer.name for layer in model.layers]
        inside = names[: names.index("features")]
        wanted = {
            "all": weighted,
            "head": ["logits"],
            "backbone": [name for name in weighted if name in inside],
            "layers 5-9": [name for name in weighted if name in [*inside[5:9], "logits"]],
        }[trainable]
        assert trainable != "layers 5-9" or 3 <= len(wanted) < len(weighted) - 2
        before = values(model)
        phase = Phase(trainable=trainable, optimizer="adamw", weight_decay=0.1, learning_rate=0.01)
        step(trainer_of(model, phase), FACES, LABELS)
        assert changed(before, model) == set(wanted)

    def test_ranges_outside_are_refused_with_the_count(self, model: keras.Model):
        count = [layer.name for layer in model.layers].index("features")
        for inside in (f"layers {count - 1}-{count}", "layers 0-1", "head", "backbone", "all"):
            network.check_phases(config(phases=(Phase(trainable=inside),)), model)
        wrong = (Phase(name="fine"), Phase(name="second", trainable=f"layers 2-{count + 1}"))
        message = f"Phase 'second' trains layers 2-{count + 1}, but .* has {count} layers.* within 0-{count}"
        with pytest.raises(UserError, match=message):
            network.check_phases(config(phases=wrong), model)

    def test_a_phase_that_trains_nothing_is_refused(self):
        inputs = keras.Input((48, 48, 1))
        pooled = keras.layers.GlobalAveragePooling2D(name="features")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(7, name="logits")(pooled))
        with pytest.raises(UserError, match="'empty' trains nothing: 'backbone' has no weights"):
            network.check_phases(config(phases=(Phase(name="empty", trainable="backbone"),)), model)


def test_standardise_is_in_the_network_that_is_built():
    bright = 0.5 * FACES + 0.3
    for preprocessing, same in (("scale", False), ("standardise", True)):
        made = network.build_network(config(preprocessing=preprocessing), "float32")
        probabilities = np.asarray(made(FACES)), np.asarray(made(bright))
        assert np.allclose(*probabilities, atol=1e-4) == same
    assert network.build_network(config(classes=("happy", "sad", "fear")), "float32").output_shape == (
        None,
        3,
    )


class TestOptimizers:
    def test_sgd_looks_ahead_as_nesterov_has_it(self):
        """With a gradient of 1: w − lr·(1 + m), then w − lr·(1 + m + m²) more."""
        phase = Phase(optimizer="sgd", learning_rate=0.1, momentum=0.8)
        optimizer = network.inner_optimizer(network.compile_for(flat(), config(), phase, "float32"))
        weights = optimizer._trainable_variables
        ones, moved = [np.ones(v.shape, np.float32) for v in weights], np.array(weights[0])
        for expected in (0.1 * 1.8, 0.1 * (1 + 0.8 + 0.64)):
            optimizer.apply(ones)
            moved = moved - np.float32(expected)
            np.testing.assert_allclose(np.array(weights[0]), moved, atol=1e-5)

    @pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
    def test_weight_decay_shrinks_kernels_and_nothing_else(self, optimizer: str):
        """Without a gradient a step multiplies every kernel by 1 − rate · decay."""
        phase = Phase(optimizer=optimizer, learning_rate=0.5, weight_decay=0.2)
        after = self.after_a_step_without_gradient(flat(), phase)
        assert {path: value for path, value in after.items() if path.endswith("kernel")} == {
            "hidden/kernel": 0.9, "features/kernel": 0.9, "logits/kernel": 0.9,
        }  # fmt: skip
        others = {path: value for path, value in after.items() if not path.endswith("kernel")}
        assert set(others) == {
            "hidden/bias", "norm/gamma", "norm/beta", "features/bias", "logits/bias",
        }  # fmt: skip
        assert set(others.values()) == {1.0}

    def test_nor_positions_and_class_tokens(self):
        options = {"width": 8, "blocks": 1, "heads": 2, "key_size": 4, "hidden": 8, "patch": 24}
        phase = Phase(optimizer="adamw", learning_rate=0.5, weight_decay=0.2)
        after = self.after_a_step_without_gradient(MODELS["vit_patch8"].build(**options), phase)
        assert after["positions/embedding"] == after["class_token/token"] == 1.0
        assert after["block1_attention/query/kernel"] == after["block1_mlp1/kernel"] == 0.9
        assert after["block1_attention/query/bias"] == after["block1_norm1/gamma"] == 1.0

    @pytest.mark.parametrize("name", ["patch_embedding", "tokenizer_conv1"])
    def test_a_layer_whose_name_says_token_is_decayed(self, name: str):
        inputs = keras.Input((3,))
        outputs = keras.layers.Dense(7, name="logits")(keras.layers.Dense(4, name=name)(inputs))
        phase = Phase(optimizer="adamw", learning_rate=0.5, weight_decay=0.2)
        after = self.after_a_step_without_gradient(keras.Model(inputs, outputs), phase)
        assert after[f"{name}/kernel"] == after["logits/kernel"] == 0.9

    def after_a_step_without_gradient(self, model: keras.Model, phase: Phase) -> dict[str, float]:
        """What has become of each variable, all of whose values were 1."""
        trainer = network.compile_for(model, config(), phase, "float32")
        variables = trainer.trainable_variables
        for variable in variables:
            variable.assign(np.ones(variable.shape))
        network.inner_optimizer(trainer).apply([np.zeros(v.shape, np.float32) for v in variables])
        assert all(np.ptp(np.array(variable)) == 0 for variable in variables)
        return {v.path: round(float(np.array(v).flat[0]), 5) for v in variables}

    @pytest.mark.parametrize("optimizer", ["sgd", "adam"])
    def test_no_decay_unless_asked(self, optimizer: str):
        trainer = network.compile_for(flat(), config(), Phase(optimizer=optimizer), "float32")
        before = values(trainer)
        zeros = [np.zeros(v.shape, np.float32) for v in trainer.trainable_variables]
        network.inner_optimizer(trainer).apply(zeros)
        assert changed(before, trainer) == set()

    def test_accumulated_steps_are_one_step_of_a_larger_batch(self):
        random = np.random.default_rng(0)
        inputs = random.normal(size=(12, 3)).astype(np.float32)
        targets = np.eye(7, dtype=np.float32)[random.integers(0, 7, 12)]
        phase = Phase(optimizer="sgd", learning_rate=0.3)
        parts, whole = flat(normalised=False), flat(normalised=False)  # statistics are of a batch
        accumulating = trainer_of(parts, phase, gradient_accumulation=3)
        once = trainer_of(whole, phase)
        before = values(parts)
        for start in (0, 4):
            step(accumulating, inputs[start : start + 4], targets[start : start + 4])
            assert changed(before, parts) == set()
        step(accumulating, inputs[8:], targets[8:])
        step(once, inputs, targets)
        assert changed(before, parts) >= {"hidden", "features", "logits"}
        for one, other in zip(parts.variables, whole.variables, strict=True):
            np.testing.assert_allclose(np.array(one), np.array(other), atol=1e-6, err_msg=one.path)


class TestAverages:
    @pytest.fixture
    def trained(self) -> tuple[keras.Model, keras.Model, list[np.ndarray]]:
        """A model, its trainer after three steps, and the averages by hand: a ← 0.9·a + 0.1·w from the
        first step's weights on."""
        model, random = flat(), np.random.default_rng(0)
        trainer = trainer_of(model, Phase(optimizer="sgd", learning_rate=0.5), ema=0.9)
        averages: list[np.ndarray] = []
        for _ in range(3):
            step(trainer, random.normal(size=(6, 3)).astype(np.float32), LABELS)
            now = [np.array(variable) for variable in model.trainable_variables]
            averages = [0.9 * a + 0.1 * w for a, w in zip(averages or now, now, strict=True)]
        return model, trainer, averages

    def test_inside_are_the_averages_and_outside_the_weights(self, trained):
        model, trainer, averages = trained
        before = values(model)
        with averaged_weights(network.inner_optimizer(trainer)):
            for variable, average in zip(model.trainable_variables, averages, strict=True):
                np.testing.assert_allclose(np.array(variable), average, atol=1e-6)
            assert changed(before, model) >= {"hidden", "features", "logits"}
        for path, value in values(model).items():
            np.testing.assert_array_equal(value, before[path], err_msg=path)
        with averaged_weights(network.inner_optimizer(trainer)):  # and once more the same
            np.testing.assert_allclose(np.array(model.trainable_variables[0]), averages[0], atol=1e-6)

    def test_an_error_inside_brings_the_weights_back(self, trained):
        model, trainer, _ = trained
        before = values(model)

        def save() -> None:
            with averaged_weights(network.inner_optimizer(trainer)):
                assert changed(before, model)
                raise OSError("disk")

        with pytest.raises(OSError, match="disk"):
            save()
        assert changed(before, model) == set()

    def test_without_them_nothing_happens(self):
        trainer = trainer_of(flat(), Phase())
        before = values(trainer)
        with averaged_weights(network.inner_optimizer(trainer)):
            assert changed(before, trainer) == set()


def test_the_focal_loss_is_the_papers():
    """−Σ t (1 − p)^γ log p (Lin et al. 2017, eq. 4), weighted by class; γ = 0 is the cross-entropy."""
    model = flat()
    inputs = np.random.default_rng(0).normal(0, 3, size=(6, 3)).astype(np.float32)
    weights = np.array([1, 15, 8, 1, 0.5, 1], dtype=np.float32)
    found = {}
    for name, changes in {
        "crossentropy": {},
        "focal 0": {"loss": "focal", "focal_gamma": 0.0},
        "focal 3": {"loss": "focal", "focal_gamma": 3.0},
    }.items():
        trainer = trainer_of(model, Phase(learning_rate=1e-12, trainable="head"), **changes)
        p = np.asarray(model(inputs))
        logs = trainer.train_on_batch(inputs, LABELS, sample_weight=weights, return_dict=True)
        gamma = changes.get("focal_gamma", 0.0)
        wanted = np.mean(weights * -np.sum(LABELS * (1 - p) ** gamma * np.log(p), axis=1))
        found[name] = float(logs["loss"])
        assert found[name] == pytest.approx(wanted, rel=1e-5), name
    assert found["focal 3"] < 0.9 * found["crossentropy"]


class TestCompilation:
    @pytest.fixture
    def not_deterministic(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """TensorFlow as in a process without a deterministic training: it has no public way back."""
        from tensorflow.python.framework import config as framework

        before = framework.is_op_determinism_enabled()
        framework.disable_op_determinism()
        monkeypatch.setattr(backend, "_deterministic", False)
        yield
        if before:
            framework.enable_op_determinism()

    def losses(self, jit: bool) -> list[float]:
        trainer = network.compile_for(flat(), config(jit=jit), Phase(learning_rate=0.01), "float32")
        assert trainer.jit_compile is jit
        rows = np.linspace(-1, 1, 18, dtype=np.float32).reshape(6, 3)
        return [step(trainer, rows, LABELS) for _ in range(3)]

    @pytest.mark.usefixtures("not_deterministic")
    def test_xla_computes_the_same_steps(self):
        plain, compiled = self.losses(False), self.losses(True)
        assert compiled == pytest.approx(plain, abs=1e-5)
        assert plain[2] < plain[0]

    @pytest.mark.usefixtures("not_deterministic")
    def test_it_is_xla_that_compiles(self):
        """An operation that it cannot compile is refused by it, and only by it."""
        import tensorflow as tf

        @keras.saving.register_keras_serializable(package="tests")
        class Python(keras.layers.Layer):
            def call(self, inputs):
                return tf.ensure_shape(tf.numpy_function(lambda x: x, [inputs], tf.float32), inputs.shape)

            def compute_output_shape(self, input_shape):
                return input_shape

        inputs = keras.Input((3,), batch_size=6)
        outputs = keras.layers.Dense(7, activation="softmax", name="logits")(Python()(inputs))
        model = keras.Model(inputs, outputs)
        rows = np.ones((6, 3), np.float32)
        assert np.isfinite(step(network.compile_for(model, config(), Phase(), "float32"), rows, LABELS))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"XLA|EagerPyFunc|PyFunc"):
            step(network.compile_for(model, config(jit=True), Phase(), "float32"), rows, LABELS)

    def test_not_in_deterministic_mode_and_not_unasked(self, monkeypatch: pytest.MonkeyPatch):
        for deterministic, wanted, used in ((False, True, True), (True, True, False), (False, False, False)):
            monkeypatch.setattr(backend, "_deterministic", deterministic)
            assert backend.resolved_jit(wanted) is used


def test_predictions_are_in_order_and_whole_whatever_the_batch():
    images = np.random.default_rng(0).integers(0, 256, (7, 48, 48), dtype=np.uint8)
    model = network.build_network(config(), "float32")
    expected = np.asarray(model(images[..., None].astype(np.float32) / 255))
    for batch in (3, 7, 50):
        found = network.predict(model, images, batch, lambda: False)
        assert found is not None
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert network.predict(model, images, 3, lambda: True) is None
