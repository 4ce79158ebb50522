"""Study D: InceptionV3 in two phases, with disgust grown tenfold."""

from typing import Any

from fer.augmentation import PRESETS
from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS
from fer.recipes.recipe import Recipe
from fer.training.config import Phase

# Study D: frozen backbone, then its top 50 layers; InceptionV3 has 311.
_INCEPTION: dict[str, Any] = {
    "model_options": {"dropout": 0.6},
    "phases": (
        Phase(name="frozen backbone", epochs=30, learning_rate=1e-4, trainable="head"),
        Phase(
            name="fine-tuning",
            epochs=20,
            learning_rate=1e-5,
            schedule="plateau",
            plateau_factor=0.1,
            trainable="layers 261-311",
        ),
    ),
    "batch_size": 32,
    "class_weights": "balanced",
    "early_stopping_patience": 5,
    "early_stopping_monitor": "val_loss",
    "checkpoint_monitor": "val_loss",
    "augmentation": PRESETS["D"],
    "oversample": {"disgust": 3520},
}
_D_NOTES = (
    "The study grew disgust offline from 348 to 3,520 images. Here its images are repeated, each time varied "
    "anew, and only in train. Weights and growth apply to both phases.",
    "Dropout is 0.5 in the study's first phase and 0.6 in its second; here 0.6 in both.",
)

RECIPES = (
    Recipe(
        name="inceptionv3",
        study="D",
        title="InceptionV3, frozen, then fine-tuned",
        tests="Does fine-tuning the top of a pretrained network help?",
        model="inceptionv3",
        config_changes=_INCEPTION,
        reported={"accuracy": 0.490},
        parameters=21_817_127,
        notes=(
            *_D_NOTES,
            "The study reports 44.1 % before fine-tuning, and 58.2 % on validation, an inflated figure.",
        ),
    ),
    Recipe(
        name="inceptionv3_without_disgust",
        study="D",
        title="InceptionV3 with six classes",
        tests="Does dropping the rarest class help the others?",
        model="inceptionv3",
        config_changes=_INCEPTION
        | {"classes": tuple(name for name in EMOTIONS if name != "disgust"), "oversample": {}},
        reported={"accuracy": 0.487},
        parameters=21_815_078,
        notes=(
            "The study reports 68.0 % on validation, an inflated figure, beside 48.7 % on test.",
            _D_NOTES[1],
        ),
    ),
    Recipe(
        name="inceptionv3_750",
        study="D",
        title="InceptionV3, 750 images per class",
        tests="How does accuracy grow with the number of images?",
        model="inceptionv3",
        config_changes=_INCEPTION | {"split": SplitConfig(per_class=750), "oversample": {"disgust": 750}},
        reported={"accuracy": 0.54},
        parameters=21_817_127,
        notes=(_D_NOTES[0], "The study does not say on which images it measured these 54 %."),
    ),
    Recipe(
        name="inceptionv3_2500",
        study="D",
        title="InceptionV3, 2,500 images per class",
        tests="How does accuracy grow with the number of images?",
        model="inceptionv3",
        config_changes=_INCEPTION | {"split": SplitConfig(per_class=2500), "oversample": {"disgust": 2500}},
        reported={"accuracy": 0.62},
        parameters=21_817_127,
        notes=(_D_NOTES[0], "The study does not say on which images it measured these 62 %."),
    ),
)
