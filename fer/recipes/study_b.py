"""Study B: pretrained backbones with attention and class-specific branches, unfrozen in stages."""

from typing import Any

from fer.augmentation import PRESETS
from fer.recipes.recipe import Recipe
from fer.recipes.study_a import transfer
from fer.training.config import Phase


def _hybrid(backbone: str, stages: tuple[str, str, str]) -> dict[str, Any]:
    """Study B: frozen backbone, three stages of unfreezing, then the head alone."""

    def phase(name: str, epochs: int, rate: float, trainable: str) -> Phase:
        return Phase(
            name=name, epochs=epochs, optimizer="adamw", learning_rate=rate, schedule="cosine",
            warmup_epochs=1, weight_decay=1e-4, trainable=trainable,
        )  # fmt: skip

    return {
        "model_options": {"backbone": backbone},
        "phases": (
            phase("frozen backbone", 15, 1e-3, "head"),
            phase("unfreeze 1", 15, 1e-5, stages[0]),
            phase("unfreeze 2", 15, 5e-6, stages[1]),
            phase("unfreeze 3", 20, 1e-6, stages[2]),
            phase("head tuning", 20, 1e-7, "head"),
        ),
        "batch_size": 32,
        "class_weights": "balanced",
        "augmentation": PRESETS["B"],
    }


_B_NOTES = (
    "Which learning rate belongs to which stage is inferred from the study's text, and the rate of its "
    "first phase is ours.",
    "The study gives no widths for its head: our parameter count differs from its 77.4 M.",
)


RECIPES = (
    Recipe(
        name="hybrid",
        study="B",
        title="Hybrid head on ResNet50, progressive fine-tuning",
        tests="Do attention and one branch per hard class help on top of a pretrained backbone?",
        model="hybrid",
        config_changes=_hybrid("resnet50", ("layers 160-175", "layers 140-175", "layers 100-175")),
        reported={
            "balanced_accuracy": 0.589,
            "macro_f1": 0.583,
            "log_loss": 1.056,
            "per_class": {"happy": {"recall": 0.831}, "surprise": {"recall": 0.775}},
        },
        parameters=25_446_122,
        notes=(*_B_NOTES, "The study gives ranges: balanced accuracy 58.3–58.9 %, macro F1 57.4–58.3 %."),
    ),
    Recipe(
        name="hybrid_efficientnetb3",
        study="B",
        title="Hybrid head on EfficientNetB3",
        tests="The hybrid head on another backbone.",
        model="hybrid",
        config_changes=_hybrid("efficientnetb3", ("layers 342-382", "layers 302-382", "layers 222-382")),
        reported={
            "kappa": 0.428,
            "per_class": {
                "sad": {"recall": 0.73},
                "surprise": {"recall": 0.65},
                "fear": {"recall": 0.12},
                "disgust": {"recall": 0.28},
            },
        },
        parameters=12_280_946,
        notes=_B_NOTES,
    ),
    Recipe(
        name="hybrid_xception",
        study="B",
        title="Hybrid head on Xception",
        tests="The hybrid head on another backbone.",
        model="hybrid",
        config_changes=_hybrid("xception", ("layers 117-132", "layers 97-132", "layers 57-132")),
        reported={
            "balanced_accuracy": 0.246,
            "per_class": {
                "happy": {"recall": 0.648},
                "sad": {"recall": 0.057},
                "surprise": {"recall": 0.025},
            },
        },
        parameters=22_719_890,
        notes=(*_B_NOTES, "The study reports 74.6 M parameters."),
    ),
    Recipe(
        name="hybrid_mobilenetv3small",
        study="B",
        title="Hybrid head on MobileNetV3Small",
        tests="The hybrid head on a backbone for telephones.",
        model="hybrid",
        config_changes=_hybrid("mobilenetv3small", ("layers 141-156", "layers 121-156", "layers 81-156")),
        reported={
            "macro_f1": 0.177,
            "per_class": {
                "happy": {"recall": 0.599},
                "disgust": {"recall": 0.063},
                "fear": {"recall": 0.021},
            },
        },
        parameters=1_936_318,
        notes=(*_B_NOTES, "The study reports about 2.5 M parameters."),
    ),
    Recipe(
        name="hybrid_heavy_weights",
        study="B",
        title="Hybrid head on ResNet50, heavy class weights",
        tests="The study's remedy for rare classes: disgust ×15, fear ×8, both varied more.",
        model="hybrid",
        config_changes=_hybrid("resnet50", ("layers 160-175", "layers 140-175", "layers 100-175"))
        | {
            "class_weights": {"disgust": 15.0, "fear": 8.0},
            "augmentation": PRESETS["B"].from_json(
                PRESETS["B"].to_json() | {"class_strength": {"disgust": 1.5, "fear": 1.25}}
            ),
        },
        parameters=25_446_122,
        notes=("The study proposes this without figures; the strengths per class are ours.",),
    ),
    Recipe(
        name="xception",
        study="B",
        title="Xception from ImageNet",
        tests="The backbone without the hybrid head.",
        model="xception",
        config_changes=transfer(trainable="all"),
        parameters=20_875_823,
        notes=("Trained as study A trained ResNet50; study B's figures are with `hybrid_xception`.",),
    ),
    Recipe(
        name="mobilenetv3small",
        study="B",
        title="MobileNetV3Small from ImageNet",
        tests="The backbone without the hybrid head.",
        model="mobilenetv3small",
        config_changes=transfer(trainable="all"),
        parameters=943_159,
        notes=("Trained as study A trained ResNet50; study B's figures are with `hybrid_mobilenetv3small`.",),
    ),
)
