"""The experiments of the four earlier studies, and three networks of ours, as configs that train as they are.

`reported` holds what a study printed, in the units of `fer.evaluation.metrics` (shares, not per cent), so
that the page can put it beside what was measured here. `notes` say where a study was wrong and what is
done instead. Architectures are exact; a recipe may use better training defaults, and says so.
"""

from typing import Any

from fer.errors import UnknownName
from fer.recipes import ours, study_a, study_b, study_c, study_d
from fer.recipes.recipe import Recipe
from fer.training.config import TrainConfig, with_settings

__all__ = ["RECIPES", "Recipe", "recipe_config"]

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for study in (study_a, study_b, study_c, study_d, ours) for recipe in study.RECIPES
}


def recipe_config(name: str, dataset_fingerprint: str, **settings: Any) -> TrainConfig:
    """The config that trains recipe `name` on a data set, with `settings` as `with_settings` takes them.

    Raises:
        UnknownName: no such recipe, with those there are.
        UserError: a setting that does not exist or is outside its limits.
    """
    if name not in RECIPES:
        raise UnknownName("recipe", name, list(RECIPES))
    recipe = RECIPES[name]
    config = TrainConfig(
        dataset=dataset_fingerprint, recipe=name, model=recipe.model, **dict(recipe.config_changes)
    )
    return with_settings(config, settings) if settings else config
