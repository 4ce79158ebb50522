"""The training config: round trip, limits, and changes by name."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.augmentation import PRESETS, AugmentationConfig, save_preset
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.training.config import Phase, SplitConfig, TrainConfig, with_seeds, with_settings
from fer.training.phase import OPTIMIZERS, SCHEDULES

amounts = st.floats(0, 0.5, allow_nan=False)
augmentations = st.builds(
    AugmentationConfig,
    rotation=st.floats(0, 180),
    zoom=amounts,
    cutout=amounts,
    flip=st.booleans(),
    fill=st.sampled_from(["nearest", "constant", "reflect"]),
    class_strength=st.dictionaries(st.sampled_from(EMOTIONS), st.floats(0, 5)),
)
phases = st.builds(
    Phase,
    epochs=st.integers(1, 1000),
    optimizer=st.sampled_from(OPTIMIZERS),
    learning_rate=st.floats(1e-6, 10),
    schedule=st.sampled_from(SCHEDULES),
    trainable=st.sampled_from(["all", "head", "backbone", "layers 3-9"]),
    images=st.sampled_from(["all", "hard"]),
)
configs = st.builds(
    TrainConfig,
    dataset=st.text("0123456789abcdef", min_size=16, max_size=16),
    classes=st.sets(st.sampled_from(EMOTIONS), min_size=2).map(tuple),
    split=st.builds(SplitConfig, seed=st.integers(0, 2**32 - 1), per_class=st.none() | st.integers(1, 9999)),
    phases=st.lists(phases, min_size=1, max_size=4).map(tuple),
    batch_size=st.integers(1, 4096),
    seed=st.integers(0, 2**31 - 1),
    augmentation=augmentations,
    class_weights=st.sampled_from(["none", "balanced"])
    | st.dictionaries(st.sampled_from(EMOTIONS), st.floats(0, 1000)),
    oversample=st.dictionaries(st.sampled_from(EMOTIONS), st.integers(1, 10**6)),
    ema=st.just(0.0) | st.floats(0.5, 0.99999),
    limit=st.none() | st.integers(1, 10**6),
)


@given(configs)
def test_round_trip_through_text(config: TrainConfig):
    restored = TrainConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert restored == config
    assert hash(restored) == hash(config)


@given(configs, st.integers(1, 4000))
def test_total_epochs_are_shared(config: TrainConfig, total: int):
    total = min(total, 1000 * len(config.phases))
    try:
        changed = with_settings(config, {"epochs": total})
    except UserError:  # a phase's share may exceed its own limit
        assert total > 1000
        return
    assert changed.epochs == total
    assert len(changed.phases) == min(total, len(config.phases))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch size is 0; give a whole number from 1 to 4,096"),
        ({"batch_size": True}, "batch size"),
        ({"seed": -1}, "seed"),
        ({"model": "resnt50"}, "Unknown model 'resnt50'. Choose from: baseline_cnn"),
        ({"model_options": {"depth": 3}}, "depth"),
        ({"classes": ("happy",)}, "1 class is left"),
        ({"classes": ("happy", "bored")}, "bored"),
        ({"precision": "int8"}, "int8"),
        ({"device": "cuda"}, "give auto, cpu or gpu:0"),
        ({"label_smoothing": float("nan")}, "label smoothing"),
        ({"class_weights": {"disgust": -1}}, "weight of disgust"),
        ({"class_weights": "heavy"}, "heavy"),
        ({"phases": ()}, "0 phases"),
        ({"ema": 0.2}, "from 0.5"),
        ({"deterministic": True, "precision": "bfloat16"}, "float32"),
        ({"limit": 0}, "limit"),
        ({"dataset": ""}, "No data set"),
    ],
)
def test_values_outside_their_limits(changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        TrainConfig(**({"dataset": "d"} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "number of epochs is 0"),
        ({"learning_rate": 0}, "learning rate is 0"),
        ({"optimizer": "lion"}, "adam, adamw, sgd"),
        ({"trainable": "layers 9-3"}, "layers 9-3"),
        ({"trainable": "top"}, "all, head, backbone"),
        ({"minimum_learning_rate": 0.1}, "above the learning rate"),
        ({"warmup_epochs": 40}, "warm-up"),
    ],
)
def test_phase_limits(changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        Phase(**changes)


def test_unknown_keys_are_named():
    with pytest.raises(UnknownName, match="batchsize"):
        TrainConfig.from_json({"dataset": "d", "batchsize": 3})
    with pytest.raises(UserError, match="no data set"):
        TrainConfig.from_json({})
    with pytest.raises(UserError, match="not by"):
        TrainConfig.from_json([])


class TestSettings:
    config = TrainConfig(dataset="d", phases=(Phase(epochs=10), Phase(name="two", epochs=20)))

    @pytest.mark.parametrize(
        ("key", "text", "read"),
        [
            ("batch_size", "128", lambda c: c.batch_size == 128),
            ("learning_rate", "1e-2", lambda c: [p.learning_rate for p in c.phases] == [0.01, 0.01]),
            ("phases.1.learning_rate", "0.5", lambda c: [p.learning_rate for p in c.phases] == [0.001, 0.5]),
            ("phases.0.augment", "false", lambda c: not c.phases[0].augment and c.phases[1].augment),
            ("optimizer", "sgd", lambda c: {p.optimizer for p in c.phases} == {"sgd"}),
            ("epochs", "6", lambda c: [p.epochs for p in c.phases] == [2, 4]),
            ("epochs", "1", lambda c: [p.epochs for p in c.phases] == [1]),
            ("augmentation", "A", lambda c: c.augmentation == PRESETS["A"]),
            ("augmentation", "none", lambda c: not c.augmentation.active),
            ("augmentation", '{"rotation": 5}', lambda c: c.augmentation.rotation == 5),
            ("augmentation.class_strength.fear", "2", lambda c: c.augmentation.class_strength == {"fear": 2}),
            ("class_weights", "balanced", lambda c: c.class_weights == "balanced"),
            ("class_weights.disgust", "15", lambda c: c.class_weights == {"disgust": 15}),
            ("class_weights", '{"fear": 8}', lambda c: c.class_weights == {"fear": 8}),
            ("oversample.disgust", "3520", lambda c: c.oversample == {"disgust": 3520}),
            ("classes", "-disgust", lambda c: len(c.classes) == 6 and "disgust" not in c.classes),
            ("classes", "happy, sad", lambda c: c.classes == ("happy", "sad")),
            ("split.per_class", "750", lambda c: c.split.per_class == 750),
            ("split.group_duplicates", "off", lambda c: not c.split.group_duplicates),
            ("model_options.dropout", "0.3", lambda c: c.model_options == {"dropout": 0.3}),
            ("limit", "none", lambda c: c.limit is None),
            ("selection", "2024", lambda c: c.selection == "2024"),
            ("deterministic", "True", lambda c: c.deterministic),
        ],
    )
    def test_text_is_read_as_the_setting_wants_it(self, key: str, text: str, read):
        assert read(with_settings(self.config, {key: text}))

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("batchsize", "3", "Unknown setting 'batchsize'"),
            ("phases.2.epochs", "3", "Unknown phase '2'"),
            ("phases.0", "3", "phases.0.epochs"),
            ("split.sed", "3", "split.seed"),
            ("batch_size", "many", "batch size is 'many'"),
            ("augmentation", "Z", "Unknown augmentation preset 'Z'"),
            ("epochs", "0", "epochs"),
            ("classes", "bored", "bored"),
        ],
    )
    def test_what_cannot_be_set_is_explained(self, key: str, value: str, message: str):
        with pytest.raises(UserError, match=message):
            with_settings(self.config, {key: value})

    def test_one_rate_for_phases_that_differ_is_refused(self):
        config = with_settings(self.config, {"phases.1.learning_rate": 1e-5})
        with pytest.raises(UserError, match=r"phases.1.learning_rate \(1e-05\)"):
            with_settings(config, {"learning_rate": 0.1})

    def test_saved_presets_can_be_named(self):
        save_preset("mine", AugmentationConfig(rotation=3))
        assert with_settings(self.config, {"augmentation": "mine"}).augmentation.rotation == 3


def test_seeds_are_one_experiment():
    configs = with_seeds(TrainConfig(dataset="d", seed=4), 3)
    assert [config.seed for config in configs] == [4, 5, 6]
    assert len({hash(with_settings(config, {"seed": 0})) for config in configs}) == 1


def test_hard_samples_add_a_phase():
    config = TrainConfig(dataset="d", phases=(Phase(epochs=5),), hard_samples=2)
    assert [(p.name, p.epochs, p.images) for p in config.all_phases] == [
        ("train", 5, "all"),
        ("hard samples", 2, "hard"),
    ]
    assert (config.epochs, config.own_epochs) == (7, 5)


def test_configs_need_no_keras():
    code = (
        "import sys, fer.recipes, fer.training.config, fer.augmentation, fer.training.schedules, "
        "fer.backend, fer.training.job; fer.backend.devices(); "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'streamlit')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
