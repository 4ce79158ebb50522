"""Every recipe is a config that can be built, with the studies' names and figures."""

import pytest

from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.models import MODELS
from fer.recipes import RECIPES, recipe_config
from fer.training.config import TrainConfig

NAMES = {
    "baseline_cnn", "unet_attention", "unet_separable", "unet_se", "vit_patch8", "resnet50", "cnn4",
    "vit_patch4", "inceptionv3", "efficientnetb3", "xception", "mobilenetv3small", "hybrid", "resnet_se",
    "vgg", "cct",
}  # fmt: skip


def test_every_experiment_has_a_recipe():
    assert set(RECIPES) >= NAMES
    assert {recipe.model for recipe in RECIPES.values()} == set(MODELS)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_config_is_complete(name: str):
    recipe, config = RECIPES[name], recipe_config(name, "d")
    assert (config.recipe, config.model, config.dataset) == (name, recipe.model, "d")
    assert TrainConfig.from_json(config.to_json()) == config
    assert config.phases
    assert recipe.tests.endswith(("?", ".", ")"))
    for key, value in recipe.reported.items():
        if key == "per_class":
            assert set(value) <= set(EMOTIONS)
            assert all(0 <= share <= 1 for figures in value.values() for share in figures.values())
        else:
            assert 0 < value < 1.1


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_parameters_are_the_models(name: str):
    recipe = RECIPES[name]
    if recipe.parameters is not None:
        assert recipe.parameters == MODELS[recipe.model].parameters


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [("baseline_cnn", 0.504), ("unet_attention", 0.648), ("unet_se", 0.6), ("vit_patch8", 0.303),
     ("resnet50", 0.678), ("cnn4", 0.647), ("vit_patch4", 0.419), ("inceptionv3", 0.49)],
)  # fmt: skip
def test_reported_accuracy(name: str, accuracy: float):
    assert RECIPES[name].reported["accuracy"] == accuracy


def test_study_b_in_one_config():
    config = recipe_config("hybrid", "d")
    assert [(p.trainable, p.learning_rate, p.epochs) for p in config.phases[1:]] == [
        ("layers 160-175", 1e-5, 15),
        ("layers 140-175", 5e-6, 15),
        ("layers 100-175", 1e-6, 20),
        ("head", 1e-7, 20),
    ]
    assert {p.optimizer for p in config.phases} == {"adamw"}
    assert config.augmentation.shear == 23


def test_study_d_drops_a_class_and_oversamples():
    assert len(recipe_config("inceptionv3_without_disgust", "d").classes) == 6
    assert recipe_config("inceptionv3", "d").oversample == {"disgust": 3520}
    assert recipe_config("inceptionv3_750", "d").split.per_class == 750


def test_settings_change_a_recipe():
    config = recipe_config("baseline_cnn", "d", epochs="2", augmentation="C", limit=50)
    assert (config.epochs, config.limit, config.augmentation.rotation) == (2, 50, 20)


def test_unknown_names_list_what_there_is():
    with pytest.raises(UnknownName, match="baseline_cnn, unet_attention"):
        recipe_config("basline", "d")
    with pytest.raises(UserError, match="batchsize"):
        recipe_config("baseline_cnn", "d", batchsize=3)


def test_layer_ranges_fit_their_backbones():
    """Counts of keras.applications without top, less scaling layers (see fer.models.backbones)."""
    layers = {
        "resnet50": 175,
        "inceptionv3": 311,
        "efficientnetb3": 382,
        "xception": 132,
        "mobilenetv3small": 156,
    }
    for name, recipe in RECIPES.items():
        config = recipe_config(name, "d")
        for phase in config.phases:
            if chosen := phase.layer_range():
                backbone = config.model_options.get("backbone", recipe.model)
                assert chosen[1] == layers[backbone], name
