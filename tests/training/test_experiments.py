"""Ablations, time estimates, and the job the queue runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fer.augmentation import PRESETS
from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.recipes import recipe_config
from fer.training import job
from fer.training.ablation import ablation
from fer.training.config import Phase, TrainConfig
from fer.training.estimate import estimate
from tests.training.conftest import quick


def test_ablation_changes_one_thing_at_a_time():
    config = recipe_config("baseline_cnn", "d")
    variants = ablation(config, seeds=2, selection="clean", denoised="e")
    assert list(variants) == [
        "as it is",
        "with class weights",
        "without augmentation",
        "outliers removed",
        "denoised",
    ]
    base = config.to_json()
    for name, configs in variants.items():
        assert [c.seed for c in configs] == [0, 1]
        changed = {key for key, value in configs[0].to_json().items() if value != base[key]}
        assert len(changed) == (name != "as it is")


def test_ablation_takes_away_what_is_there():
    config = recipe_config("baseline_cnn", "d", class_weights="balanced", selection="clean")
    assert list(ablation(config, 1)) == [
        "as it is",
        "without class weights",
        "without augmentation",
        "outliers kept",
    ]
    plain = ablation(recipe_config("unet_attention", "d"), 1)
    assert plain["with augmentation A"][0].augmentation == PRESETS["A"]
    with pytest.raises(UserError, match="itself"):
        ablation(config, 1, denoised="d")


def test_augmentation_that_no_phase_uses_is_switched_on_and_not_off():
    config = TrainConfig(dataset="d", augmentation=PRESETS["C"], phases=(Phase(augment=False),))
    varied = ablation(config, 1)["with augmentation A"][0]
    assert varied.augmentation == PRESETS["A"]
    assert all(phase.augment for phase in varied.phases)
    on_features = replace(config, phases=(Phase(augment=False), Phase(images="smote")))
    assert "without augmentation" not in ablation(on_features, 1)
    assert "without augmentation" in ablation(replace(config, phases=(Phase(), *config.phases)), 1)


def test_there_is_nothing_to_take_from_a_training_on_features():
    with pytest.raises(UserError, match="Leave out SMOTE"):
        ablation(TrainConfig(dataset="d", smote="base"), 1)


def test_estimate_counts_every_step(tiny: Dataset):
    found = estimate(quick(tiny, phases=(Phase(epochs=5),), deterministic=False), steps=1)
    assert (found["epochs"], found["steps"], found["device"]) == (5, 4, "cpu")
    assert found["seconds"] == pytest.approx(5 * found["seconds_per_epoch"])
    assert found["seconds_per_epoch"] > 4 * found["seconds_per_step"] > 0


def test_job_takes_json_and_returns_json(tiny: Dataset, tmp_path: Path):
    result = job.run(quick(tiny, phases=(Phase(epochs=1),)).to_json(), tmp_path, None, None)
    assert result["stopped"] is False
    assert json.loads(json.dumps(result["metrics"]))["best_epoch"] == 1
    stopped = job.run(quick(tiny).to_json(), tmp_path / "b", None, lambda: True)
    assert stopped["stopped"] is True
