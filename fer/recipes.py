"""The experiments of the four earlier studies, and three networks of ours, as configs that train as they are.

`reported` holds what a study printed, in the units of `fer.evaluation.metrics` (shares, not per cent), so
that the page can put it beside what was measured here. `notes` say where a study was wrong and what is
done instead. Architectures are exact; a recipe may use better training defaults, and says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fer.augmentation import PRESETS, AugmentationConfig
from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS
from fer.errors import UnknownName
from fer.training.config import Phase, TrainConfig, with_settings

CLEANED = (
    "The study trained on its cleaned split (22,508 images): choose a selection made on the Outliers page to "
    "do the same."
)
SHUFFLED = (
    "The study scored a shuffled, augmented stream, so the files it dropped were not the ones it had scored; "
    "here outliers are scored un-augmented and in file order."
)


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        name: what `python -m fer train` takes.
        study: A, B, C, D, or `ours`.
        title: one line for lists.
        tests: the question it answers.
        model: an entry of `fer.models.MODELS`.
        config_changes: what differs from `TrainConfig`'s defaults, as its arguments.
        reported: the study's test figures: `accuracy`, `macro_f1`, `balanced_accuracy`, `log_loss`,
            `kappa`, `per_class {class: {f1 | recall}}`, shares in [0, 1]; empty if there are none.
        parameters: as reported or counted; None where the study gives none.
        notes: what a reader of the figures must know.
    """

    name: str
    study: str
    title: str
    tests: str
    model: str
    config_changes: Mapping[str, Any] = field(default_factory=dict)
    reported: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    notes: tuple[str, ...] = ()


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


def _per_class(measure: str, *values: float) -> dict[str, dict[str, float]]:
    return {emotion: {measure: value} for emotion, value in zip(EMOTIONS, values, strict=True)}


# Study A trained its U-Nets like this, without augmentation.
_UNET_PHASE = Phase(
    epochs=50, learning_rate=1e-3, schedule="plateau", plateau_patience=5, minimum_learning_rate=1e-5
)
_UNET: dict[str, Any] = {
    "phases": (_UNET_PHASE,),
    "batch_size": 32,
    "early_stopping_patience": 10,
}

# Study A's two-minute recipe for pretrained backbones; 40 % of ResNet50's 175 layers are trainable.
_TRANSFER: dict[str, Any] = {
    "phases": (
        Phase(
            epochs=20,
            optimizer="adamw",
            learning_rate=1e-4,
            weight_decay=1e-4,
            schedule="plateau",
            plateau_monitor="val_accuracy",
            plateau_patience=2,
            trainable="layers 105-175",
        ),
    ),
    "batch_size": 64,
    "label_smoothing": 0.1,
    "early_stopping_patience": 5,
    "augmentation": AugmentationConfig(
        rotation=36, zoom=0.1, shift_x=0.1, shift_y=0.1, flip=True, fill="reflect"
    ),
}


def _transfer(**phase: Any) -> dict[str, Any]:
    return _TRANSFER | {"phases": (Phase(**(_TRANSFER["phases"][0].to_json() | phase)),)}


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

_STUDY_A = (
    Recipe(
        name="baseline_cnn",
        study="A",
        title="Baseline CNN",
        tests="How far does a small network without tricks get?",
        model="baseline_cnn",
        config_changes={
            "phases": (Phase(epochs=15, learning_rate=2e-3, schedule="onecycle"),),
            "batch_size": 64,
            "preprocessing": "standardise",
            "augmentation": AugmentationConfig(flip=True),
        },
        reported={
            "accuracy": 0.504,
            "macro_f1": 0.41,
            "per_class": _per_class("f1", 0.32, 0.04, 0.23, 0.73, 0.49, 0.41, 0.65),
        },
        parameters=57_527,
        notes=(
            CLEANED,
            SHUFFLED,
            "The architecture is exact, the training ours: rate up to 2e-3 in one cycle, batch 64, images "
            "standardised and mirrored at random, 15 epochs; `baseline_cnn_study` trains as the study did.",
        ),
    ),
    Recipe(
        name="baseline_cnn_study",
        study="A",
        title="Baseline CNN, trained as in the study",
        tests="What does the study's own training of its baseline come to under the clean protocol?",
        model="baseline_cnn",
        config_changes={
            "phases": (Phase(epochs=14, learning_rate=1e-3),),
            "batch_size": 32,
            "augmentation": PRESETS["A"],
        },
        reported={
            "accuracy": 0.504,
            "macro_f1": 0.41,
            "per_class": _per_class("f1", 0.32, 0.04, 0.23, 0.73, 0.49, 0.41, 0.65),
        },
        parameters=57_527,
        notes=(CLEANED, SHUFFLED, "Adam 1e-3, batch 32, about 14 epochs, augmentation A."),
    ),
    Recipe(
        name="unet_attention",
        study="A",
        title="U-Net with attention gates",
        tests="Do an encoder and decoder with gated skips beat a plain CNN?",
        model="unet_attention",
        config_changes=_UNET,
        reported={
            "accuracy": 0.648,
            "macro_f1": 0.62,
            "per_class": _per_class("f1", 0.59, 0.53, 0.48, 0.85, 0.61, 0.51, 0.77),
        },
        parameters=2_026_247,
        notes=(CLEANED, SHUFFLED, "Trained without augmentation, as in the study."),
    ),
    Recipe(
        name="unet_separable",
        study="A",
        title="U-Net with depthwise-separable convolutions",
        tests="What does a cheaper convolution cost?",
        model="unet_separable",
        config_changes=_UNET,
        reported={"accuracy": 0.618},
        parameters=367_751,
        notes=("The study says 3 points less than its U-Net, without a table.", CLEANED),
    ),
    Recipe(
        name="unet_se",
        study="A",
        title="Residual U-Net with squeeze-excite",
        tests="Do channel attention, spatial attention and class weights help the U-Net?",
        model="unet_se",
        config_changes={
            "phases": (
                Phase(name="rate 1.4e-4", epochs=20, learning_rate=1.4e-4, start="last"),
                Phase(name="rate 1.8e-4", epochs=20, learning_rate=1.8e-4, start="last"),
                Phase(name="rate 2e-4", epochs=40, learning_rate=2e-4, start="last"),
            ),
            "batch_size": 32,
            "class_weights": "balanced",
        },
        reported={
            "accuracy": 0.600,
            "per_class": _per_class("f1", 0.52, 0.53, 0.26, 0.82, 0.57, 0.45, 0.74),
        },
        parameters=2_201_057,
        notes=(
            "The study planned 80 epochs and its log ends at 45; it names three rates and not where they "
            "change, so 20, 20 and 40 epochs are ours.",
            CLEANED,
        ),
    ),
    Recipe(
        name="vit_patch8",
        study="A",
        title="Vision transformer, patch 8",
        tests="Does a plain transformer learn expressions from 23,000 images?",
        model="vit_patch8",
        config_changes={"phases": (Phase(epochs=20, learning_rate=1e-4),), "batch_size": 32},
        reported={
            "accuracy": 0.303,
            "per_class": _per_class("recall", 0.00, 0.00, 0.03, 0.71, 0.05, 0.42, 0.34),
        },
        parameters=605_127,
        notes=("Per class the study gives the recall, not F1.", CLEANED),
    ),
    Recipe(
        name="resnet50",
        study="A",
        title="ResNet50 from ImageNet",
        tests="How much does a large network pretrained on photographs bring?",
        model="resnet50",
        config_changes=_TRANSFER,
        reported={
            "accuracy": 0.678,
            "macro_f1": 0.66,
            "per_class": _per_class("f1", 0.61, 0.62, 0.48, 0.87, 0.64, 0.57, 0.80),
        },
        parameters=24_115_079,
        notes=(
            "The study froze 60 % of the layers and then created the backbone a second time, so the freezing "
            "may never have applied; `resnet50_unfrozen` trains every layer.",
            "The amounts of weight decay and label smoothing are ours (1e-4, 0.1).",
        ),
    ),
    Recipe(
        name="resnet50_unfrozen",
        study="A",
        title="ResNet50 from ImageNet, nothing frozen",
        tests="What if study A's freezing never applied?",
        model="resnet50",
        config_changes=_transfer(trainable="all"),
        reported={"accuracy": 0.678, "macro_f1": 0.66},
        parameters=24_115_079,
        notes=("The study's figures, if its second backbone undid the freezing.",),
    ),
    Recipe(
        name="resnet50_two_step",
        study="A",
        title="ResNet50, frozen first, then unfrozen",
        tests="Does training the head first protect the pretrained features?",
        model="resnet50",
        config_changes=_TRANSFER
        | {
            "phases": (
                Phase(name="frozen backbone", epochs=5, optimizer="adamw", trainable="head"),
                Phase(**(_TRANSFER["phases"][0].to_json() | {"name": "unfrozen", "epochs": 15})),
            )
        },
        parameters=24_115_079,
        notes=("The study names this ablation without figures.",),
    ),
    Recipe(
        name="unet_class_weights",
        study="A",
        title="U-Net with attention, class weights",
        tests="Do balanced class weights help? (The study: they hurt.)",
        model="unet_attention",
        config_changes=_UNET | {"class_weights": "balanced"},
        parameters=2_026_247,
        notes=("The study names this ablation without figures.",),
    ),
    Recipe(
        name="unet_mixup",
        study="A",
        title="U-Net with attention, MixUp",
        tests="Does mixing pairs of images help?",
        model="unet_attention",
        config_changes=_UNET | {"mixup": 0.2},
        parameters=2_026_247,
        notes=("The study names this ablation without figures; α = 0.2 is ours.",),
    ),
    Recipe(
        name="unet_oversampling",
        study="A",
        title="U-Net with attention, disgust oversampled",
        tests="Does repeating the rarest class help it?",
        model="unet_attention",
        config_changes=_UNET
        | {
            "oversample": {"disgust": 2500},
            "augmentation": AugmentationConfig(rotation=10, flip=True),
        },
        parameters=2_026_247,
        notes=("The study names this ablation without figures; 2,500 images and the variation are ours.",),
    ),
    Recipe(
        name="unet_smote",
        study="A",
        title="U-Net with attention, SMOTE in its features",
        tests="Do interpolated features of the rare classes help the last layer? (The study: no gain.)",
        model="unet_attention",
        config_changes=_UNET
        | {"phases": (_UNET_PHASE, Phase(name="SMOTE", epochs=10, learning_rate=1e-3, images="smote"))},
        parameters=2_026_247,
        notes=("The study names this ablation without figures; its 10 epochs are ours.", CLEANED),
    ),
    Recipe(
        name="efficientnetb3",
        study="A",
        title="EfficientNetB3 from ImageNet",
        tests="Does a newer backbone beat ResNet50?",
        model="efficientnetb3",
        config_changes=_transfer(trainable="all"),
        parameters=10_794_287,
        notes=("Study A names this ablation without figures; study B's are with `hybrid_efficientnetb3`.",),
    ),
)

_STUDY_B = (
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
        config_changes=_transfer(trainable="all"),
        parameters=20_875_823,
        notes=("Trained as study A trained ResNet50; study B's figures are with `hybrid_xception`.",),
    ),
    Recipe(
        name="mobilenetv3small",
        study="B",
        title="MobileNetV3Small from ImageNet",
        tests="The backbone without the hybrid head.",
        model="mobilenetv3small",
        config_changes=_transfer(trainable="all"),
        parameters=943_159,
        notes=("Trained as study A trained ResNet50; study B's figures are with `hybrid_mobilenetv3small`.",),
    ),
)

_C_PHASE: dict[str, Any] = {
    "learning_rate": 1e-3,
    "schedule": "plateau",
    "plateau_factor": 0.9,
    "plateau_patience": 5,
}
_C_RETRAINED = (
    Phase(name="plain", epochs=30, augment=False, **_C_PHASE),
    Phase(name="hard samples", epochs=20, augment=False, images="hard", start="best", **_C_PHASE),
    Phase(name="augmented", epochs=60, start="last", **_C_PHASE),
)
_C: dict[str, Any] = {
    "split": SplitConfig(scheme="release"),
    "batch_size": 64,
    "early_stopping_patience": 10,
    "augmentation": PRESETS["C"],
}
_C_NOTES = (
    "The study tested on 5,742 images it split off from train (64/16/20): choose that split to repeat it. "
    "Here the release's test images are kept apart, so figures compare with the other recipes.",
    "The study gives no epochs for its first and last phase. Early stopping (patience 10) may end each "
    "phase sooner, the 20 epochs on hard samples too.",
)

_STUDY_C = (
    Recipe(
        name="cnn4",
        study="C",
        title="CNN with four blocks, retrained on hard samples",
        tests="Does retraining on the images it got wrong, then with augmentation, help?",
        model="cnn4",
        config_changes=_C | {"phases": _C_RETRAINED},
        reported={"accuracy": 0.647, "log_loss": 0.98},
        parameters=4_061_703,
        notes=(*_C_NOTES, "The study reports 62.9 % after its first phase."),
    ),
    Recipe(
        name="vit_patch4",
        study="C",
        title="Vision transformer, patch 4",
        tests="Do smaller patches help a plain transformer?",
        model="vit_patch4",
        config_changes=_C | {"phases": _C_RETRAINED},
        reported={"accuracy": 0.419},
        parameters=24_487,
        notes=(*_C_NOTES, "The study reports 39.6 % after its first phase."),
    ),
    Recipe(
        name="vit_patch4_wide",
        study="C",
        title="Vision transformer, patch 4, 6 layers of width 128",
        tests="Does a larger plain transformer learn at all? (The study: no.)",
        model="vit_patch4",
        config_changes=_C
        | {
            "model_options": {"width": 128, "blocks": 6, "key_size": 32, "hidden": 256},
            "phases": (Phase(name="plain", epochs=30, augment=False, **_C_PHASE),),
        },
        parameters=816_647,
        notes=(*_C_NOTES, "The study says that it did not learn, without figures; heads of width 32 and an "
               "MLP of 256 are ours."),
    ),
)  # fmt: skip

_STUDY_D = (
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

_SGD = Phase(
    epochs=40,
    optimizer="sgd",
    learning_rate=0.05,
    schedule="cosine",
    warmup_epochs=1,
    weight_decay=5e-3,  # Keras decays apart from the momentum: an L2 term of 5e-4 in the loss
)
_OURS: dict[str, Any] = {
    "phases": (_SGD,),
    "batch_size": 64,
    "label_smoothing": 0.1,
    "augmentation": PRESETS["ours"],
    "split": SplitConfig(validation_fraction=0.1),  # 2,868 images choose the checkpoint
}

_SETTLED = (
    "At the end BatchNorm gets the means and variances of the training images as they are, not of turned, "
    "dimmed and cut-out ones (settle)."
)

_OWN = (
    Recipe(
        name="resnet_se",
        study="ours",
        title="Residual network with squeeze-excite",
        tests="What does a good network from scratch reach at 48×48?",
        model="resnet_se",
        config_changes=_OURS | {"settle": True},
        parameters=1_444_631,
        notes=(
            "SGD with Nesterov momentum, cosine, label smoothing, shifts, turns, flips and cutout.",
            _SETTLED,
        ),
    ),
    Recipe(
        name="vgg",
        study="ours",
        title="VGG for 48×48",
        tests="Does the classic that reached 73 % on FER-2013 hold under the clean protocol?",
        model="vgg",
        config_changes=_OURS
        | {"phases": (Phase(**(_SGD.to_json() | {"learning_rate": 0.02})),), "settle": True},
        parameters=10_466_375,
        notes=("The published 73.28 % chose its checkpoint on PrivateTest and used ten crops.", _SETTLED),
    ),
    Recipe(
        name="cct",
        study="ours",
        title="Compact convolutional transformer",
        tests="Can a transformer learn expressions from scratch after all? (The studies: 30–42 %.)",
        model="cct",
        config_changes=_OURS
        | {
            "phases": (
                Phase(
                    epochs=45,
                    optimizer="adamw",
                    learning_rate=1e-3,
                    schedule="cosine",
                    warmup_epochs=5,
                    weight_decay=0.06,
                ),
            ),
            "batch_size": 128,
        },
        parameters=2_106_280,
        notes=("Hassani et al. 2021, with a convolutional tokenizer in place of patches.",),
    ),
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (*_STUDY_A, *_STUDY_B, *_STUDY_C, *_STUDY_D, *_OWN)
}
