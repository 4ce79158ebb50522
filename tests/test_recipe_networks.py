"""The network of every recipe is the one its config builds: counts, layers, phases, by the command line."""

import json
from argparse import Namespace

import pytest

from fer.commands.training import model, recipes
from fer.errors import UserError
from fer.models import MODELS
from fer.recipes import RECIPES, recipe_config


def _network(name: str) -> tuple:
    """What decides the number of parameters; rates and penalties do not."""
    config = recipe_config(name, "d")
    options = {key: value for key, value in config.model_options.items() if not isinstance(value, float)}
    return config.model, json.dumps(options, sort_keys=True), len(config.classes)


OTHERS = {
    _network(name): name for name in reversed(RECIPES) if _network(name) != (RECIPES[name].model, "{}", 7)
}


def shown(**options: str | None) -> dict:
    return model(Namespace(**options), lambda fraction, text: None)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_of_one_network_have_its_parameters(name: str):
    recipe = RECIPES[name]
    if _network(name) in OTHERS:
        assert recipe.parameters == RECIPES[OTHERS[_network(name)]].parameters
    else:  # built by the battery of the models
        assert recipe.parameters == MODELS[recipe.model].parameters


def test_the_recipes_with_networks_of_their_own():
    assert {"hybrid_xception", "hybrid_efficientnetb3", "hybrid_mobilenetv3small",
            "inceptionv3_without_disgust"} <= set(OTHERS.values())  # fmt: skip


@pytest.mark.parametrize("name", sorted(OTHERS.values()))
def test_the_command_builds_the_recipes_own_network(name: str):
    found = shown(model=None, recipe=name)
    assert found["parameters"] == RECIPES[name].parameters
    config = recipe_config(name, "d")
    assert found["layers"][-1]["output_shape"] == str(len(config.classes))
    numbers = [row["number"] for row in found["layers"] if row["number"] is not None]
    assert numbers == sorted(set(numbers))
    for number, phase in enumerate(config.phases, 1):
        chosen = phase.layer_range()
        if chosen:  # the numbers are those that a phase names
            trained = {row["number"] for row in found["layers"] if number in row["phases"]} - {None}
            assert trained
            assert trained <= set(range(*chosen))


def test_the_list_of_recipes_has_every_count():
    rows = recipes(Namespace(dataset=None), lambda fraction, text: None)
    assert {row["recipe"]: row["parameters"] for row in rows} == {
        name: recipe.parameters for name, recipe in RECIPES.items()
    }
    assert all(row["parameters"] for row in rows)


def test_a_model_or_a_recipe_and_not_both():
    assert shown(model="vit_patch4", recipe=None)["parameters"] == 24_487
    for options in ({"model": "vit_patch4", "recipe": "cct"}, {"model": None, "recipe": None}):
        with pytest.raises(UserError, match="not both"):
            shown(**options)
