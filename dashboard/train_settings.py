"""The settings of a training as a form: a recipe's own values, changed where somebody wants it.

Widget keys hold the recipe's name, so that each recipe remembers its own changes.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboard import building, panels, state
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError

if TYPE_CHECKING:
    from fer.generation.dataset import GeneratedSet


def recipe_choice(recipes: Mapping[str, Any]) -> str:
    """The name of a recipe."""
    return st.selectbox(
        "Recipe",
        list(recipes),
        key=state.RECIPE,
        bind="query-params",
        persist_state="session",
    )


def training_settings(recipe: str, dataset: Dataset) -> tuple[Any | None, str]:
    """The settings of a training, inside a form: (TrainConfig or None where a value is wrong, run name).

    Every default is the recipe's own, so pressing Start at once repeats the recipe.
    """
    from fer.recipes import recipe_config
    from fer.training.config import with_settings

    config = recipe_config(recipe, dataset.fingerprint)
    settings = _main_settings(recipe, config)
    augment = st.toggle("Vary the training images (augmentation)", _augments(config), key=f"augment-{recipe}")
    settings["class_weights"] = _weights_choice(recipe, config)
    with st.expander("More settings", icon=":material/tune:"):
        settings["selection"] = _selection_choice(recipe, dataset)
        generated = _generated_choice(recipe, dataset)
        name = st.text_input("Run name", placeholder="made from the recipe and the time")
        preset = _preset_choice(recipe, config)
        settings["seed"] = str(st.number_input("Seed", 0, 2**31 - 1, config.seed, key=f"seed-{recipe}"))
        settings |= _split_settings(recipe, config)
        precisions = ["auto", "float32", "bfloat16", "float16"]
        settings["precision"] = st.selectbox(
            "Precision",
            precisions,
            index=precisions.index(config.precision),
            key=f"precision-{recipe}",
            help="auto: bfloat16 where the processor or GPU computes it natively",
        )
        settings |= building.building_on(recipe, config)
    if not augment:
        settings["augmentation"] = "none"
    elif preset:
        settings["augmentation"] = preset
    changed = {key: value for key, value in settings.items() if value and not _same(config, key, value)}
    try:
        chosen = with_settings(config, changed)
        if generated is not None:  # what validates this training must be new to the generator too
            chosen = replace(chosen, generated=generated.reference, split=generated.split)
        if chosen.oversample and not chosen.augmentation.active:
            st.warning(
                "A class is grown but the images are not varied, so it is repeated as it is. Switch the "
                "augmentation on."
            )
        return chosen, name.strip()
    except UserError as error:
        st.error(panels.plain(error))
        return None, name


def _main_settings(recipe: str, config: Any) -> dict[str, str]:
    """Epochs of all phases together, batch size, learning rate where it is one, device."""
    left, right = st.columns(2)
    epochs = left.number_input("Epochs", 1, 1000, config.own_epochs, key=f"epochs-{recipe}")
    batch = right.number_input("Batch size (images)", 1, 4096, config.batch_size, key=f"batch-{recipe}")
    rate = rate_field(left, config, f"rate-{recipe}")
    return {
        "epochs": str(epochs),
        "batch_size": str(batch),
        "learning_rate": rate,
        "device": _device_choice(recipe),
    }


def rate_field(place: Any, config: Any, key: str) -> str:
    """The learning rate as a setting; '' where the phases have rates of their own and none can be chosen."""
    rates = {phase.learning_rate for phase in config.phases}
    rate = place.number_input(
        "Learning rate",
        1e-9,
        10.0,
        max(rates),
        format="%g",
        step=max(rates) / 10,
        key=key,
        disabled=len(rates) > 1,
        help="This recipe's phases have rates of their own." if len(rates) > 1 else None,
    )
    return repr(rate) if len(rates) == 1 else ""


def _weights_choice(recipe: str, config: Any) -> str:
    """`none`, `balanced`, or '' for the recipe's own weights."""
    own = not isinstance(config.class_weights, str)
    options = [*([""] if own else []), "none", "balanced"]
    return st.selectbox(
        "Class weights",
        options,
        index=0 if own else options.index(config.class_weights),
        format_func=lambda name: name or "as in the recipe",
        help="Balanced: every class counts the same in the loss.",
        key=f"weights-{recipe}",
    )


def _split_settings(recipe: str, config: Any) -> dict[str, str]:
    """How the data set is divided, how many images of a class, and which classes."""
    from fer.data.splits import SCHEMES

    described = {
        "release": "the data set's test, validation from train",
        "kfold": "stratified k-fold",
        "64/16/20": "64/16/20 of train (study C)",
    }
    scheme = st.selectbox(
        "Split",
        SCHEMES,
        index=SCHEMES.index(config.split.scheme),
        format_func=lambda name: described.get(name, name),
        key=f"scheme-{recipe}",
    )
    fraction = st.slider(
        "Validation share (%)",
        5,
        50,
        round(100 * config.split.validation_fraction),
        key=f"fraction-{recipe}",
        help="Of each class of train; it chooses the checkpoint and is never trained on.",
    )
    left, right = st.columns(2)
    folds = left.number_input("Folds", 2, 20, config.split.folds, key=f"folds-{recipe}", help="for k-fold")
    fold = right.number_input("Fold that validates", 0, 19, config.split.fold, key=f"fold-{recipe}")
    most = st.number_input(
        "Training images of a class, at most (0: all)",
        0,
        1_000_000,
        config.split.per_class or 0,
        key=f"per-class-{recipe}",
        help="Study D: 750 and 2,500",
    )
    classes = st.multiselect(
        "Classes",
        EMOTIONS,
        default=list(config.classes),
        key=f"classes-{recipe}",
        help="Study D left out disgust",
    )
    return {
        "split.scheme": scheme,
        "split.validation_fraction": repr(fraction / 100),
        "split.folds": str(folds),
        "split.fold": str(fold),
        "split.per_class": str(most) if most else "none",
        "split.group_duplicates": str(_grouping_choice(recipe, config)).lower(),
        "classes": ",".join(classes),
        "oversample": _oversampling(recipe, config),
    }


def _grouping_choice(recipe: str, config: Any) -> bool:
    """Whether pixel-identical images stay on one side of the split."""
    return st.toggle(
        "Copies of a face stay in one split",
        config.split.group_duplicates,
        key=f"grouped-{recipe}",
        help="Off, copies of training faces may validate, and the validation figure flatters the network.",
    )


def _oversampling(recipe: str, config: Any) -> str:
    """Classes that are grown to a number of training images, as JSON."""
    left, right = st.columns(2)
    grown = left.multiselect(
        "Grow classes",
        EMOTIONS,
        default=list(config.oversample),
        key=f"grown-{recipe}",
        placeholder="none",
        help="Their training images are repeated, each repeat varied by the augmentation. Study D grew "
        "disgust from 348 to 3,520.",
    )
    wanted = right.number_input(
        "to this many images", 1, 1_000_000, max(config.oversample.values(), default=3520), key=f"to-{recipe}"
    )
    own = config.oversample
    if set(grown) == set(own) and wanted == max(own.values(), default=wanted):
        return json.dumps(dict(own))
    return json.dumps({emotion: int(wanted) for emotion in grown})


def _augments(config: Any) -> bool:
    return config.augmentation.active


def _same(config: Any, key: str, value: str) -> bool:
    """Whether a widget still shows the recipe's own value."""
    split = config.split
    own = {
        "epochs": str(config.own_epochs),
        "batch_size": str(config.batch_size),
        "learning_rate": repr(config.phases[0].learning_rate),
        "device": config.device,
        "class_weights": config.class_weights,
        "seed": str(config.seed),
        "precision": config.precision,
        "split.scheme": split.scheme,
        "split.validation_fraction": repr(split.validation_fraction),
        "split.folds": str(split.folds),
        "split.fold": str(split.fold),
        "split.per_class": str(split.per_class) if split.per_class else "none",
        "split.group_duplicates": str(split.group_duplicates).lower(),
        "classes": ",".join(config.classes),
        "oversample": json.dumps(dict(config.oversample)),
    }
    return own.get(key) == value


def _selection_choice(recipe: str, dataset: Dataset) -> str:
    """A selection of the data set at its present version, or '' for all images."""
    from fer.data.selection import list_selections, open_selection

    names = list_selections(dataset)
    chosen = st.selectbox(
        "Images",
        ["", *names],
        format_func=lambda name: f"selection {name}" if name else "all images",
        key=f"selection-{recipe}",
        help="Selections are made on the Outliers and Data pages; the run records the version it used.",
    )
    return open_selection(dataset, chosen).reference if chosen else ""


def _generated_choice(recipe: str, dataset: Dataset) -> "GeneratedSet | None":
    """A set of generated faces to add to the training images, if one was made from this data set."""
    from fer.generation.dataset import list_sets

    sets = {f.name: f for f in list_sets() if f.dataset == dataset.fingerprint}
    described = {
        name: f"{name}: " + ", ".join(f"{n} {emotion}" for emotion, n in found.counts().items())
        for name, found in sets.items()
    }
    chosen = st.selectbox(
        "Generated faces",
        ["", *sets],
        format_func=lambda name: described.get(name, "none"),
        key=f"generated-{recipe}",
        disabled=not sets,
        help="Added to the training images, never to validation or test. The data set is then divided as "
        "for the generator, whatever is chosen below. Sets are made on the Generate page.",
    )
    return sets.get(chosen)


def _preset_choice(recipe: str, config: Any) -> str:
    """How images vary when augmentation is on: '' for the recipe's own way."""
    from fer.augmentation import list_presets

    names = [name for name in list_presets() if name != "none"]
    own = [""] if _augments(config) else []
    return st.selectbox(
        "Augmentation",
        [*own, *names],
        format_func=lambda name: f"preset {name}" if name else "as in the recipe",
        key=f"preset-{recipe}",
        help="Used when augmentation is on; the Augment page shows and saves presets.",
    )


def _device_choice(recipe: str) -> str:
    """One of the devices of this machine; each says what it is, and why it could fail."""
    from fer.backend import devices

    described = {"auto": "best one found"}
    for device in devices():
        described[device.name] = device.title + (f" – {device.problem}" if device.problem else "")
    return st.selectbox(
        "Device",
        list(described),
        format_func=lambda name: f"{name}: {described[name]}",
        key=f"device-{recipe}",
        help="A GPU that is chosen and cannot be used makes the run fail with the reason; it never trains on "
        "the processor instead.",
    )
