"""The command a run shows trains exactly the same config again."""

import shlex

import pytest

from fer.cli import parser
from fer.commands.training import _settings as settings_of
from fer.recipes import RECIPES, recipe_config
from fer.reproduce import changes, command_line
from fer.training.config import TrainConfig, with_settings

CHANGES = {
    "epochs": "3",
    "learning_rate": "0.005",
    "class_weights.disgust": "15",
    "augmentation": "B",
    "split.seed": "4",
    "limit": "100",
    "classes": "-disgust",
}


def repeated(config: TrainConfig) -> TrainConfig:
    """The config that the shown command would train."""
    words = shlex.split(command_line(config))
    assert words[:3] == ["python", "-m", "fer"]
    options = parser().parse_args(words[3:])
    return recipe_config(options.recipe, options.dataset, **settings_of(options.set))


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_unchanged_recipe_needs_no_option(recipe):
    config = recipe_config(recipe, "0123456789abcdef")
    assert changes(config) == {}
    assert repeated(config) == config


def test_every_change_is_in_the_command():
    config = recipe_config("baseline_cnn", "0123456789abcdef", **CHANGES)
    assert repeated(config).to_json() == config.to_json()
    assert repeated(config) != recipe_config("baseline_cnn", "0123456789abcdef")


def test_dropped_phases_are_in_the_command():
    recipe = next(name for name in RECIPES if len(recipe_config(name, "x").phases) > 2)
    config = recipe_config(recipe, "0123456789abcdef", epochs="2")
    assert repeated(config).to_json() == config.to_json()


def test_an_unknown_recipe_is_described_from_the_baseline():
    config = with_settings(TrainConfig(dataset="0123456789abcdef", recipe="gone"), {"batch_size": "16"})
    again = repeated(config)
    assert again.to_json() | {"recipe": "gone"} == config.to_json()
