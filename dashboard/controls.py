"""Widgets that return typed values; their keys are in `dashboard.state`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from dashboard import building, cached, panels, state
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.runs import Run

if TYPE_CHECKING:
    from fer.generation.dataset import GeneratedSet


def split_choice(splits: list[str], label: str = "Split") -> str:
    """One of the splits that the data set has."""
    return st.segmented_control(
        label,
        splits,
        default=splits[0],
        required=True,
        key=state.SPLIT,
        bind="query-params",
        persist_state="session",
    )


def release_or_trained(numbers: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Counts of the splits as released, or as a run divides them: 80/20 inside each class of train."""
    choices = {"As released": numbers["counts"], "As trained (80/20)": numbers["split_80_20"]["counts"]}
    chosen = st.segmented_control(
        "Splits",
        list(choices),
        default="As released",
        required=True,
        label_visibility="collapsed",
        key=state.SPLITS_SHOWN,
        bind="query-params",
        help="Training sets aside 20 % of each class of train for validation.",
    )
    return choices[chosen]


def reshuffle() -> None:
    """A button that draws other samples; the seed is kept in the session."""

    def draw() -> None:
        st.session_state[state.SAMPLE] = st.session_state.get(state.SAMPLE, 0) + 1

    st.button("Shuffle", icon=":material/shuffle:", on_click=draw, width="stretch")


# Training -------------------------------------------------------------------------------------------------


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
    rates = {phase.learning_rate for phase in config.phases}
    left, right = st.columns(2)
    epochs = left.number_input("Epochs", 1, 1000, config.epochs, key=f"epochs-{recipe}")
    batch = right.number_input("Batch size (images)", 1, 4096, config.batch_size, key=f"batch-{recipe}")
    rate = left.number_input(
        "Learning rate",
        1e-9,
        10.0,
        max(rates),
        format="%g",
        step=max(rates) / 10,
        key=f"rate-{recipe}",
        disabled=len(rates) > 1,
        help="This recipe's phases have rates of their own." if len(rates) > 1 else None,
    )
    return {
        "epochs": str(epochs),
        "batch_size": str(batch),
        "learning_rate": repr(rate) if len(rates) == 1 else "",
        "device": _device_choice(recipe),
    }


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
        "epochs": str(config.epochs),
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


def image_choice(dataset: Dataset) -> int:
    """Index of an image: by split and class, by slider or at random."""
    left, middle, right = st.columns([2, 3, 1], vertical_alignment="bottom")
    splits = list(dataset.counts())
    with left:
        split = split_choice(splits[::-1])
    emotion = middle.pills(
        "Expression", EMOTIONS, key=state.EMOTION, bind="query-params", persist_state="session"
    )
    indices = dataset.indices(split)
    if emotion:
        indices = indices[dataset.labels[indices] == EMOTIONS.index(emotion)]
    if not len(indices):
        st.info("No image of this expression in this split.")
        st.stop()

    def another() -> None:
        st.session_state[state.IMAGE] = int(np.random.default_rng().choice(indices))

    right.button("Random", icon=":material/casino:", on_click=another, width="stretch")
    forget_unless(state.IMAGE, len(dataset))
    if st.session_state.get(state.IMAGES_OF, (split, emotion)) != (split, emotion):
        current = st.session_state.get(state.IMAGE)
        if current is not None and current not in indices:  # a link may name any image; a new filter may not
            st.session_state[state.IMAGE] = int(indices[0])
    st.session_state[state.IMAGES_OF] = (split, emotion)
    index = st.number_input(
        f"Image number (this choice has {len(indices):,}, from {indices[0]} to {indices[-1]})",
        0,
        len(dataset) - 1,
        int(indices[0]),
        key=state.IMAGE,
        bind="query-params",
        persist_state="session",
    )
    return int(index)


def explanation_options(runs: list[Run], target: bool = True) -> tuple[str, str | None, float, str | None]:
    """(method, class to explain or None for the predicted one, opacity of the heat, layer or None)."""
    from fer.explanation import METHODS

    grid = st.grid(4, min_column_width=170, vertical_alignment="bottom")
    method = grid.selectbox(
        "Method",
        list(METHODS),
        format_func=lambda name: METHODS[name].title,
        key=state.METHOD,
        bind="query-params",
        persist_state="session",
    )
    chosen = "predicted"
    if target:
        chosen = grid.selectbox(
            "Class to explain",
            ["predicted", *EMOTIONS],
            key=state.TARGET,
            bind="query-params",
            persist_state="session",
        )
    layer = None
    if METHODS[method].uses_layer and (shared := _shared_layers(runs)):
        layer = grid.selectbox("Layer", ["", *shared], format_func=lambda name: name or "each model's last")
    opacity = grid.slider("Heat (%)", 0, 100, 50) / 100
    return method, None if chosen == "predicted" else chosen, opacity, layer or None


def _shared_layers(runs: list[Run]) -> list[str]:
    """Layers that a map can be drawn from and every one of these networks has, first to last."""
    from fer.explanation import explainable_layers

    shared: list[str] | None = None
    for run in runs:
        try:
            found = explainable_layers(cached.model(run.directory))
        except UserError:
            continue  # the page says so where the map would be
        shared = found if shared is None else [name for name in shared if name in found]
    return shared or []


def forget_unless(key: str, count: int) -> None:
    """Forget a remembered number that the chosen data set does not have."""
    remembered = st.session_state.get(key)
    if remembered is not None and not 0 <= remembered < count:
        del st.session_state[key]
