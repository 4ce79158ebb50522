"""One recipe with and without each of its ingredients, over several seeds: what does each contribute?"""

from dataclasses import replace

from fer.augmentation import PRESETS, AugmentationConfig
from fer.errors import UserError
from fer.training.config import TrainConfig, with_seeds
from fer.training.phase import Phase


def ablation(
    config: TrainConfig, seeds: int = 3, selection: str = "", denoised: str = ""
) -> dict[str, list[TrainConfig]]:
    """`{variant: configs}`: the config as it is, and with one ingredient added or taken away each.

    Args:
        config: the recipe as it stands.
        seeds: configs per variant, which differ only in their seed; 1 to 100.
        selection: the selection that drops outliers, if one was made (variant "outliers removed").
        denoised: fingerprint of the denoised copy of the data set, if there is one ("denoised").

    Class weights and augmentation are switched off where the config has them, else on (balanced weights;
    preset A of study A).

    Raises:
        UserError: a number of seeds outside its limits, a denoised copy that is the data set itself, or a
            training in the features of another run.
    """
    if config.smote:
        raise UserError(
            f"SMOTE ({config.smote!r}) leaves class weights and augmentation without effect, so there is "
            "nothing to compare. Leave out SMOTE."
        )
    if denoised and denoised == config.dataset:
        raise UserError("The denoised copy is the data set itself; choose the copy made on the Denoise page.")
    variants = {"as it is": config}
    if config.class_weights == "none":
        variants["with class weights"] = replace(config, class_weights="balanced")
    else:
        variants["without class weights"] = replace(config, class_weights="none")
    varied = [phase for phase in config.all_phases if phase.augment and not config.on_features(phase)]
    if config.augmentation.active and varied:
        variants["without augmentation"] = replace(config, augmentation=AugmentationConfig())
    else:
        phases = tuple(replace(phase, augment=True) for phase in config.phases)
        variants["with augmentation A"] = replace(config, augmentation=PRESETS["A"], phases=phases)
    if config.selection:
        variants["outliers kept"] = replace(config, selection="")
    elif selection:
        variants["outliers removed"] = replace(config, selection=selection)
    if denoised:
        variants["denoised"] = replace(config, dataset=denoised, selection="")
    return {name: with_seeds(variant, seeds) for name, variant in variants.items()}


def remedies(config: TrainConfig, emotion: str, images: int, generated: str) -> dict[str, TrainConfig]:
    """`{variant: config}`: what can be done about a class with few images, the config as it is first.

    Args:
        config: one seed of the recipe.
        emotion: the class.
        images: how many of it train in the variants that add some, so that these compare.
        generated: set whose faces make up the difference.

    The base has no weights, repeats or generated faces, whatever the recipe says. "SMOTE" still has to be
    told which run of the base to take the features from.
    """
    base = replace(
        config,
        class_weights="none",
        oversample={},
        smote="",
        generated="",
        generated_per_class=None,
        phases=_without(config.phases, "smote"),
    )
    # What only images, or a whole network, can have: SMOTE trains the last layer on features.
    plain = replace(
        base,
        mixup=0.0,
        cutmix=0.0,
        augmentation=AugmentationConfig(),
        settle=False,
        teachers=(),
        initial="",
        hard_samples=0,
        phases=_without(base.phases, "hard"),
    )
    return {
        "as it is": base,
        "class weights": replace(base, class_weights="balanced"),
        "oversampled": replace(base, oversample={emotion: images}),
        "SMOTE": plain,
        "generated": replace(base, generated=generated),
    }


def _without(phases: tuple[Phase, ...], images: str) -> tuple[Phase, ...]:
    """The phases but those on `images`; if none would be left, all of them on all images."""
    left = tuple(phase for phase in phases if phase.images != images)
    return left or tuple(replace(phase, images="all") for phase in phases)
