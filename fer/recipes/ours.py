"""Three networks of ours from scratch at 48×48."""

from typing import Any

from fer.augmentation import PRESETS
from fer.data.splits import SplitConfig
from fer.recipes.recipe import Recipe
from fer.training.config import Phase

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
    "dimmed and cut-out ones, if the network validates better with them (settle)."
)

RECIPES = (
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
        | {
            # four minutes each on two cores
            "phases": (Phase(**(_SGD.to_json() | {"epochs": 24, "learning_rate": 0.02})),),
            "settle": True,
        },
        parameters=7_320_135,
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
