"""Every recipe is a config that can be built, with the studies' names and figures."""

from dataclasses import replace
from typing import Any

import pytest

from fer.augmentation import PRESETS, AugmentationConfig
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


# What follows is from `experiments.md`, the project's list of the studies' experiments and their figures,
# and not from the recipes. A key with dots is a place in the config's JSON; "phases" is how many there are.

_NO_AUGMENTATION = AugmentationConfig().to_json()
_UNET = {
    "phases": 1, "phases.0.optimizer": "adam", "phases.0.learning_rate": 1e-3, "phases.0.epochs": 50,
    "phases.0.schedule": "plateau", "phases.0.plateau_factor": 0.5, "phases.0.plateau_monitor": "val_loss",
    "phases.0.plateau_patience": 5, "phases.0.minimum_learning_rate": 1e-5, "phases.0.trainable": "all",
    "early_stopping_monitor": "val_accuracy", "early_stopping_patience": 10,
    "checkpoint_monitor": "val_accuracy", "batch_size": 32, "preprocessing": "scale",
}  # fmt: skip
_UNET_AS_IN_THE_STUDY = _UNET | {
    "augmentation": _NO_AUGMENTATION, "class_weights": "none", "mixup": 0, "oversample": {},
}  # fmt: skip
_RESNET = {
    "phases": 1, "phases.0.optimizer": "adamw", "phases.0.learning_rate": 1e-4, "phases.0.epochs": 20,
    "phases.0.schedule": "plateau", "phases.0.plateau_factor": 0.5, "phases.0.plateau_patience": 2,
    "phases.0.plateau_monitor": "val_accuracy", "early_stopping_patience": 5, "batch_size": 64,
    "class_weights": "none", "augmentation.flip": True, "augmentation.rotation": 36,
    "augmentation.zoom": 0.1, "augmentation.shift_x": 0.1, "augmentation.shift_y": 0.1,
    "augmentation.shear": 0, "augmentation.brightness": 0, "augmentation.contrast": 0,
    "augmentation.crop": 0, "augmentation.cutout": 0, "model_options": {},
}  # fmt: skip
_HYBRID = {
    "phases": 5, "phases.0.trainable": "head", "phases.4.trainable": "head",
    "phases.1.learning_rate": 1e-5, "phases.1.epochs": 15, "phases.2.learning_rate": 5e-6,
    "phases.2.epochs": 15, "phases.3.learning_rate": 1e-6, "phases.3.epochs": 20,
    "phases.4.learning_rate": 1e-7, "phases.4.epochs": 20, "precision": "auto",
} | {f"phases.{n}.optimizer": "adamw" for n in range(5)} | {
    f"phases.{n}.schedule": "cosine" for n in range(5)
}  # fmt: skip
_RESNET_STAGES = {
    "phases.1.trainable": "layers 160-175", "phases.2.trainable": "layers 140-175",
    "phases.3.trainable": "layers 100-175", "model_options.backbone": "resnet50",
}  # fmt: skip
_C_PHASE = {
    "optimizer": "adam", "learning_rate": 1e-3, "schedule": "plateau", "plateau_factor": 0.9,
    "plateau_patience": 5, "plateau_monitor": "val_loss", "trainable": "all",
}  # fmt: skip


def _study_c(phases: int) -> dict[str, object]:
    return {
        "phases": phases, "batch_size": 64, "early_stopping_monitor": "val_accuracy",
        "early_stopping_patience": 10, "class_weights": "none", "phases.0.images": "all",
        "phases.0.augment": False,
    } | {f"phases.{n}.{key}": value for n in range(phases) for key, value in _C_PHASE.items()}  # fmt: skip


_RETRAINED = _study_c(3) | {
    "phases.1.images": "hard", "phases.1.epochs": 20, "phases.2.images": "all", "phases.2.augment": True,
}  # fmt: skip
_INCEPTION = {
    "phases": 2, "phases.0.trainable": "head", "phases.0.optimizer": "adam",
    "phases.0.learning_rate": 1e-4, "phases.0.epochs": 30, "phases.0.schedule": "constant",
    "phases.1.trainable": "layers 261-311", "phases.1.optimizer": "adam", "phases.1.learning_rate": 1e-5,
    "phases.1.schedule": "plateau", "phases.1.plateau_factor": 0.1, "batch_size": 32,
    "class_weights": "balanced", "early_stopping_monitor": "val_loss", "model_options.dropout": 0.6,
}  # fmt: skip
_ALL_CLASSES = {"classes": list(EMOTIONS)}
TRAINING: dict[str, dict[str, object]] = {
    "baseline_cnn_study": {
        "phases": 1, "phases.0.optimizer": "adam", "phases.0.learning_rate": 1e-3, "phases.0.epochs": 14,
        "phases.0.schedule": "constant", "batch_size": 32, "class_weights": "none", "preprocessing": "scale",
    },
    "unet_attention": _UNET_AS_IN_THE_STUDY,
    "unet_separable": _UNET_AS_IN_THE_STUDY,
    "unet_class_weights": _UNET_AS_IN_THE_STUDY | {"class_weights": "balanced"},
    "unet_mixup": {key: value for key, value in _UNET_AS_IN_THE_STUDY.items() if key != "mixup"},
    "unet_oversampling": _UNET | {"class_weights": "none", "mixup": 0},
    "unet_smote": _UNET_AS_IN_THE_STUDY | {"phases": 2, "phases.1.images": "smote"},
    "unet_se": {
        "phases": 3, "epochs": 80, "batch_size": 32, "class_weights": "balanced",
        "augmentation": _NO_AUGMENTATION,
    } | {f"phases.{n}.optimizer": "adam" for n in range(3)} | {
        f"phases.{n}.learning_rate": rate for n, rate in enumerate((1.4e-4, 1.8e-4, 2e-4))
    } | {f"phases.{n}.start": "last" for n in (1, 2)},
    "vit_patch8": {
        "phases": 1, "phases.0.optimizer": "adam", "phases.0.learning_rate": 1e-4, "phases.0.epochs": 20,
        "phases.0.schedule": "constant", "batch_size": 32, "class_weights": "none",
        "augmentation": _NO_AUGMENTATION,
    },
    "resnet50": _RESNET | {"phases.0.trainable": "layers 105-175"},  # the top 40 % of 175 layers
    "resnet50_unfrozen": _RESNET | {"phases.0.trainable": "all"},
    "resnet50_two_step": {
        "phases": 2, "phases.0.trainable": "head", "phases.1.trainable": "layers 105-175",
        "phases.1.optimizer": "adamw", "phases.1.learning_rate": 1e-4, "batch_size": 64,
    },
    "hybrid": _HYBRID | _RESNET_STAGES | {"class_weights": "balanced"},
    "hybrid_heavy_weights": _HYBRID | _RESNET_STAGES | {"class_weights": {"disgust": 15, "fear": 8}},
    "hybrid_efficientnetb3": _HYBRID | {"model_options.backbone": "efficientnetb3",
                                        "class_weights": "balanced"},
    "hybrid_xception": _HYBRID | {"model_options.backbone": "xception", "class_weights": "balanced"},
    "hybrid_mobilenetv3small": _HYBRID | {"model_options.backbone": "mobilenetv3small",
                                          "class_weights": "balanced"},
    "cnn4": _RETRAINED | {"model_options": {}},
    "vit_patch4": _RETRAINED | {"model_options": {}},
    "vit_patch4_wide": _study_c(1) | {"model_options.width": 128, "model_options.blocks": 6},
    "inceptionv3": _INCEPTION | _ALL_CLASSES | {"oversample": {"disgust": 3520}, "split.per_class": None},
    "inceptionv3_without_disgust": _INCEPTION | {
        "classes": ["angry", "fear", "happy", "neutral", "sad", "surprise"], "oversample": {},
    },
    "inceptionv3_750": _INCEPTION | _ALL_CLASSES | {"split.per_class": 750},
    "inceptionv3_2500": _INCEPTION | _ALL_CLASSES | {"split.per_class": 2500},
}  # fmt: skip


def value_at(content: Any, path: str) -> Any:
    for step in path.split("."):
        content = content[int(step)] if isinstance(content, list) else content[step]
    return content


@pytest.mark.parametrize("name", TRAINING)
def test_trains_as_the_study_says(name: str):
    config = recipe_config(name, "d")
    content = config.to_json()
    found = {path: value_at(content, path) for path in TRAINING[name] if path not in ("phases", "epochs")}
    sizes = {"phases": len(config.phases), "epochs": config.epochs}
    assert found | {key: sizes[key] for key in sizes if key in TRAINING[name]} == TRAINING[name]


def test_only_ours_and_what_the_study_leaves_open_are_not_in_the_table():
    """`efficientnetb3` (A), `xception` and `mobilenetv3small` (B) are named there without a training."""
    free = {"baseline_cnn", "efficientnetb3", "xception", "mobilenetv3small", "resnet_se", "vgg", "cct"}
    assert set(RECIPES) - set(TRAINING) == free


PRESETS_OF_THE_STUDIES = {
    "A": {"rotation": 30, "shift_x": 0.1, "shift_y": 0.1, "shear": 0.1, "zoom": 0.2, "flip": True,
          "fill": "nearest"},
    "B": {"rotation": 35, "shift_x": 0.25, "shift_y": 0.25, "brightness": 0.5, "shear": 23, "zoom": 0.4,
          "flip": True, "fill": "constant"},
    "C": {"rotation": 20, "shift_x": 0.1, "shift_y": 0.1, "zoom": 0.1, "flip": True},
}  # fmt: skip


@pytest.mark.parametrize("name", PRESETS_OF_THE_STUDIES)
def test_presets_are_the_studies(name: str):
    assert PRESETS[name] == AugmentationConfig(**PRESETS_OF_THE_STUDIES[name])


def test_presets_are_used_where_the_studies_used_them():
    varied = {
        "A": {"baseline_cnn_study"},
        "B": {"hybrid", "hybrid_efficientnetb3", "hybrid_xception", "hybrid_mobilenetv3small"},
        "C": {"cnn4", "vit_patch4"},
        "D": {"inceptionv3", "inceptionv3_without_disgust", "inceptionv3_750", "inceptionv3_2500"},
    }
    found = {preset: {name for name in RECIPES if recipe_config(name, "d").augmentation == PRESETS[preset]}
             for preset in varied}  # fmt: skip
    assert found == varied
    for name in RECIPES:  # and where no phase varies its images, nothing says that they are varied
        config = recipe_config(name, "d")
        assert not config.augmentation.active or any(phase.augment for phase in config.phases), name
    heavy = recipe_config("hybrid_heavy_weights", "d").augmentation
    assert replace(heavy, class_strength={}) == PRESETS["B"]
    assert all(heavy.class_strength[emotion] > 1 for emotion in ("disgust", "fear"))


def test_study_d_varies_small_classes_more_and_as_its_offline_growth_did():
    """Turns of 20°, shifts, shear and zoom of 10 % (0.1 rad is 5.7°), flip; brightness, contrast, crop."""
    d = PRESETS["D"]
    assert (d.rotation, d.shift_x, d.shift_y, d.zoom, d.flip) == (20, 0.1, 0.1, 0.1, True)
    assert d.shear == pytest.approx(5.7, abs=0.05)
    assert min(d.brightness, d.contrast, d.crop) > 0
    assert d.class_strength["disgust"] > 1


def test_what_no_study_names_is_off():
    """In every recipe of the studies: each of these would be another experiment."""
    ours = {"resnet_se", "vgg", "cct"}
    smoothed = {name for name in RECIPES if recipe_config(name, "d").label_smoothing > 0}
    transfer = {"resnet50", "resnet50_unfrozen", "resnet50_two_step", "efficientnetb3", "xception",
                "mobilenetv3small"}  # fmt: skip
    assert smoothed == ours | transfer
    for name in RECIPES:
        config, plain = recipe_config(name, "d"), TrainConfig(dataset="d")
        off = ("cutmix", "loss", "smote", "generated", "initial", "teachers", "ema", "hard_samples",
               "gradient_accumulation", "deterministic", "limit", "selection", "seed", "jit", "precision",
               "device")  # fmt: skip
        assert {key: getattr(config, key) for key in off} == {key: getattr(plain, key) for key in off}, name
        assert (config.mixup > 0) == (name == "unet_mixup"), name
        assert config.settle == (name in {"resnet_se", "vgg"}), name
        if name != "resnet50_two_step":  # whose first phase is nobody's figure
            decays = [phase.weight_decay > 0 for phase in config.phases]
            adamw = [phase.optimizer in ("adamw", "sgd") for phase in config.phases]
            assert decays == adamw, name
        assert ("disgust" in config.oversample) == (
            name in {"unet_oversampling", "inceptionv3", "inceptionv3_750", "inceptionv3_2500"}
        ), name


def test_the_hybrids_warm_up_and_count_their_stages_from_the_top():
    for name in (n for n in RECIPES if n.startswith("hybrid")):
        config = recipe_config(name, "d")
        assert all(phase.warmup_epochs > 0 for phase in config.phases), name
        stages = [phase.layer_range() for phase in config.phases[1:4]]
        assert [end - start for start, end in stages] == sorted(end - start for start, end in stages), name
        assert len({end for _, end in stages}) == 1, name


F1, RECALL = "f1", "recall"
PER_CLASS: dict[str, tuple[str, tuple[float, ...]]] = {
    "baseline_cnn": (F1, (0.32, 0.04, 0.23, 0.73, 0.49, 0.41, 0.65)),
    "baseline_cnn_study": (F1, (0.32, 0.04, 0.23, 0.73, 0.49, 0.41, 0.65)),
    "unet_attention": (F1, (0.59, 0.53, 0.48, 0.85, 0.61, 0.51, 0.77)),
    "unet_se": (F1, (0.52, 0.53, 0.26, 0.82, 0.57, 0.45, 0.74)),
    "vit_patch8": (RECALL, (0.00, 0.00, 0.03, 0.71, 0.05, 0.42, 0.34)),
    "resnet50": (F1, (0.61, 0.62, 0.48, 0.87, 0.64, 0.57, 0.80)),
}
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
REPORTED: dict[str, dict[str, Any]] = {
    "baseline_cnn": {"accuracy": 0.504, "macro_f1": 0.41},
    "baseline_cnn_study": {"accuracy": 0.504, "macro_f1": 0.41},
    "unet_attention": {"accuracy": 0.648, "macro_f1": 0.62},
    "unet_separable": {"accuracy": 0.618},  # "−3 points"
    "unet_se": {"accuracy": 0.600},
    "vit_patch8": {"accuracy": 0.303},
    "resnet50": {"accuracy": 0.678, "macro_f1": 0.66},
    "resnet50_unfrozen": {"accuracy": 0.678, "macro_f1": 0.66},
    "hybrid": {"balanced_accuracy": 0.589, "macro_f1": 0.583, "log_loss": 1.056,
               "per_class": {"happy": {RECALL: 0.831}, "surprise": {RECALL: 0.775}}},
    "hybrid_efficientnetb3": {"kappa": 0.428, "per_class": {
        "sad": {RECALL: 0.73}, "surprise": {RECALL: 0.65}, "fear": {RECALL: 0.12},
        "disgust": {RECALL: 0.28}}},
    "hybrid_xception": {"balanced_accuracy": 0.246, "per_class": {
        "happy": {RECALL: 0.648}, "sad": {RECALL: 0.057}, "surprise": {RECALL: 0.025}}},
    "hybrid_mobilenetv3small": {"macro_f1": 0.177, "per_class": {
        "happy": {RECALL: 0.599}, "disgust": {RECALL: 0.063}, "fear": {RECALL: 0.021}}},
    "cnn4": {"accuracy": 0.647, "log_loss": 0.98},
    "vit_patch4": {"accuracy": 0.419},
    "inceptionv3": {"accuracy": 0.490},
    "inceptionv3_without_disgust": {"accuracy": 0.487},
    "inceptionv3_750": {"accuracy": 0.54},
    "inceptionv3_2500": {"accuracy": 0.62},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_reported_figures_are_the_studies(name: str):
    wanted = dict(REPORTED.get(name, {}))
    if name in PER_CLASS:
        measure, values = PER_CLASS[name]
        wanted["per_class"] = {c: {measure: value} for c, value in zip(CLASSES, values, strict=True)}
    assert dict(RECIPES[name].reported) == wanted


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("unet_se", ("80 epochs", "45")),
        ("hybrid", ("58.3–58.9", "57.4–58.3", "77.4 M", "inferred")),
        ("hybrid_xception", ("74.6 M",)),
        ("hybrid_mobilenetv3small", ("2.5 M",)),
        ("cnn4", ("62.9", "5,742", "64/16/20")),
        ("vit_patch4", ("39.6", "64/16/20")),
        ("inceptionv3", ("44.1", "58.2", "348", "3,520", "inflated")),
        ("inceptionv3_without_disgust", ("48.7", "68.0", "inflated")),
        ("baseline_cnn", ("22,508",)),
        ("unet_attention", ("22,508",)),
        ("resnet50", ("second time", "resnet50_unfrozen")),
    ],
)
def test_notes_say_what_a_figure_does_not(name: str, figures: tuple[str, ...]):
    text = " ".join(RECIPES[name].notes)
    assert [figure for figure in figures if figure not in text] == []


@pytest.mark.parametrize(
    ("name", "count"), [("baseline_cnn", 57_527), ("unet_attention", 2_026_247), ("vit_patch8", 605_127)]
)
def test_parameters_are_those_the_studies_printed(name: str, count: int):
    assert RECIPES[name].parameters == MODELS[name].parameters == count


def test_settings_change_a_recipe():
    config = recipe_config("baseline_cnn", "d", epochs="2", augmentation="C", limit=50)
    assert (config.epochs, config.limit, config.augmentation.rotation) == (2, 50, 20)


def test_unknown_names_list_what_there_is():
    with pytest.raises(UnknownName, match=r"Choose from: baseline_cnn, .*unet_attention, .*cct"):
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
