"""Widgets that return typed values; their keys are in `dashboard.state`."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import streamlit as st

from dashboard import cached, panels, state
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.runs import Run


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
    phase = config.phases[0]
    left, right = st.columns(2)
    epochs = left.number_input("Epochs", 1, 1000, phase.epochs, key=f"epochs-{recipe}")
    batch = right.number_input("Batch size (images)", 1, 4096, config.batch_size, key=f"batch-{recipe}")
    rate = left.number_input(
        "Learning rate",
        1e-7,
        10.0,
        phase.learning_rate,
        format="%g",
        step=phase.learning_rate / 10,
        key=f"rate-{recipe}",
    )
    device = _device_choice(recipe)
    augment = st.toggle("Vary the training images (augmentation)", _augments(config), key=f"augment-{recipe}")
    weights = st.selectbox(
        "Class weights",
        ["none", "balanced"],
        index=1 if config.class_weights == "balanced" else 0,
        help="Balanced: every class counts the same in the loss.",
        key=f"weights-{recipe}",
    )
    with st.expander("More settings", icon=":material/tune:"):
        selection = _selection_choice(recipe, dataset)
        name = st.text_input("Run name", placeholder="made from the recipe and the time")
        chosen_preset = _preset_choice(recipe, config)
        seed = st.number_input("Seed", 0, 2**31 - 1, config.seed, key=f"seed-{recipe}")
        fraction = st.slider(
            "Validation share (%)",
            5,
            50,
            round(100 * config.split.validation_fraction),
            key=f"fraction-{recipe}",
            help="Share of each class of train that chooses the checkpoint and is never trained on.",
        )
        precisions = ["auto", "float32", "bfloat16"]
        precision = st.selectbox(
            "Precision",
            precisions,
            index=precisions.index(config.precision) if config.precision in precisions else 0,
            key=f"precision-{recipe}",
            help="auto: bfloat16 where the processor or GPU computes it natively",
        )
    settings = {
        "epochs": str(epochs),
        "batch_size": str(batch),
        "learning_rate": repr(rate),
        "device": device,
        "class_weights": weights,
        "seed": str(seed),
        "split.validation_fraction": repr(fraction / 100),
        "precision": precision,
    }
    if selection:
        settings["selection"] = selection
    if not augment:
        settings["augmentation"] = "none"
    elif chosen_preset:
        settings["augmentation"] = chosen_preset
    changed = {key: value for key, value in settings.items() if not _same(config, key, value)}
    try:
        return with_settings(config, changed), name.strip()
    except UserError as error:
        st.error(panels.plain(error))
        return None, name


def _augments(config: Any) -> bool:
    return config.augmentation.active


def _same(config: Any, key: str, value: str) -> bool:
    """Whether a widget still shows the recipe's own value."""
    phase = config.phases[0]
    own = {
        "epochs": phase.epochs,
        "batch_size": config.batch_size,
        "learning_rate": repr(phase.learning_rate),
        "device": config.device,
        "class_weights": config.class_weights,
        "seed": config.seed,
        "split.validation_fraction": repr(config.split.validation_fraction),
        "precision": config.precision,
    }
    return key in own and str(own[key]) == value


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


# Results --------------------------------------------------------------------------------------------------


def evaluation_split(runs: list[Run]) -> str:
    """The split to score on, of those that the runs' own data sets have."""
    present: set[str] = set()
    for run in runs:
        with suppress(UserError):
            dataset = cached.dataset(str(run.config.get("dataset")))
            present |= {"test"} if len(dataset.indices("test")) else set()
            parts = {part for part in ("PublicTest", "PrivateTest") if (dataset.parts == part).any()}
            present |= parts if len(parts) > 1 else set()
    choices = [split for split in ("test", "PublicTest", "PrivateTest") if split in present] + ["validation"]
    return st.segmented_control(
        "Scored on",
        choices,
        default=choices[0],
        required=True,
        key=state.SCORED,
        bind="query-params",
        persist_state="session",
        help="Validation chose the checkpoint, so its scores are optimistic.",
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
    if len(runs) == 1 and METHODS[method].uses_layer:
        from fer.explanation import explainable_layers

        layers = explainable_layers(cached.model(runs[0].directory))
        layer = grid.selectbox("Layer", ["", *layers], format_func=lambda name: name or "the model's last")
    opacity = grid.slider("Heat (%)", 0, 100, 50) / 100
    return method, None if chosen == "predicted" else chosen, opacity, layer or None


def forget_unless(key: str, count: int) -> None:
    """Forget a remembered number that the chosen data set does not have."""
    remembered = st.session_state.get(key)
    if remembered is not None and not 0 <= remembered < count:
        del st.session_state[key]
