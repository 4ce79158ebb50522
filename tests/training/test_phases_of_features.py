"""SMOTE as a phase of a training, and beside settings that it would leave without effect."""

from dataclasses import replace

import numpy as np
import pytest

from fer.augmentation import PRESETS
from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.models.loading import load_model
from fer.runs import create_run, list_runs, record_finished
from fer.training.ablation import remedies
from fer.training.config import Phase, TrainConfig
from fer.training.effects import check_effects
from fer.training.fit import fit
from tests.training.conftest import quick


def test_a_phase_on_balanced_features_trains_the_last_layer_alone(tiny: Dataset, tmp_path):
    first = Phase(epochs=1)
    second = Phase(name="SMOTE", epochs=2, learning_rate=0.05, images="smote", start="last", trainable="head")
    config = quick(tiny, phases=(first,), checkpoint_monitor="last")
    fit(config, tmp_path / "one")
    fit(replace(config, phases=(first, second)), tmp_path / "both")
    before, after = (load_model(tmp_path / name / "best.keras") for name in ("one", "both"))
    for one, other in zip(before.layers, after.layers, strict=True):
        same = all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
        assert same == (one.name != "logits"), one.name


def test_stopped_in_such_a_phase_it_goes_on_as_if_it_had_not(tiny: Dataset, tmp_path):
    phases = (Phase(epochs=1), Phase(name="SMOTE", epochs=2, learning_rate=0.05, images="smote"))
    config = quick(tiny, phases=phases, batch_size=32)
    whole = fit(config, tmp_path / "whole").metrics
    steps = iter(range(5))  # 2 of the first phase, 3 of the second, in the middle of an epoch
    assert fit(config, tmp_path / "parts", should_stop=lambda: next(steps, None) is None).stopped
    resumed = fit(config, tmp_path / "parts").metrics
    assert resumed["val_loss"] == pytest.approx(whole["val_loss"], abs=1e-6)
    assert resumed["epochs"] == 3


@pytest.mark.parametrize("trainable", ["backbone", "layers 2-4"])
def test_a_range_of_layers_is_no_matter_to_it(tiny: Dataset, tmp_path, trainable: str):
    config = quick(tiny, phases=(Phase(epochs=1, trainable=trainable),))
    base = create_run(config.to_json(), name="base")
    fit(config, base.directory)
    record_finished(base)
    assert fit(replace(config, smote="base"), tmp_path / "smote").metrics["epochs"] == 1


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("class_weights", {"class_weights": "balanced"}),
        ("oversample", {"oversample": {"disgust": 10}}),
        ("mixup", {"mixup": 0.2}),
        ("cutmix", {"cutmix": 0.2}),
        ("augmentation", {"augmentation": PRESETS["A"]}),
        ("settle", {"settle": True}),
        ("phases", {"phases": (Phase(images="hard"),)}),
        ("hard_samples", {"hard_samples": 1}),
    ],
)
def test_what_would_have_no_effect_beside_it_is_refused(tiny: Dataset, tmp_path, name: str, changes: dict):
    """Before there is a run, which would wait for its base; what an earlier version stored still opens."""
    config = quick(tiny, smote="base", **changes)
    for begin in (lambda: create_run(config.to_json()), lambda: fit(config, tmp_path / "smote")):
        with pytest.raises(UserError, match=f"by itself; {name} would have no effect"):
            begin()
    assert list_runs() == []
    assert TrainConfig.from_json(config.to_json()) == config


def test_what_an_earlier_version_let_begin_goes_on(tiny: Dataset, tmp_path, monkeypatch):
    def refuse(config: TrainConfig) -> None:
        raise UserError("no")

    config = quick(tiny, limit=14)
    assert fit(config, tmp_path, should_stop=lambda: True).stopped
    monkeypatch.setattr("fer.training.fit.check_effects", refuse)
    assert fit(config, tmp_path, should_stop=lambda: True).stopped


def test_the_remedy_leaves_out_what_would_have_no_effect(tiny: Dataset):
    phases = (Phase(epochs=1), Phase(epochs=1, images="hard"), Phase(epochs=1, images="smote"))
    config = quick(tiny, phases=phases, mixup=0.2, cutmix=0.1, hard_samples=2, settle=True,
                   augmentation=PRESETS["A"], initial="one", teachers=("two",))  # fmt: skip
    variants = remedies(config, "disgust", 10, "set")
    assert [phase.images for phase in variants["as it is"].all_phases] == ["all", "hard", "hard"]
    assert (variants["as it is"].mixup, variants["as it is"].initial) == (0.2, "one")
    smote = variants["SMOTE"]
    assert [phase.images for phase in smote.all_phases] == ["all"]
    check_effects(replace(smote, smote="base"))
    assert (smote.mixup, smote.cutmix, smote.class_weights, smote.oversample) == (0, 0, "none", {})


def test_remedies_of_a_training_on_features_alone_are_on_images(tiny: Dataset):
    variants = remedies(quick(tiny, phases=(Phase(images="smote"),)), "disgust", 10, "set")
    assert {phase.images for config in variants.values() for phase in config.phases} == {"all"}
    check_effects(variants["generated"])
