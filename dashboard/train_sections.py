"""Parts of the Train page's form that are more than one field: images, rare classes, augmentation, device."""

from typing import TYPE_CHECKING

import streamlit as st

from dashboard.fields import Form
from dashboard.train_fields import FIELDS
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.training.config import TrainConfig

if TYPE_CHECKING:
    from fer.generation.dataset import GeneratedSet


def images(form: Form, dataset: Dataset) -> "GeneratedSet | None":
    """Which images train and which validate; the generated set to add, if one was chosen."""
    _selection_choice(form, dataset)
    form.ask(FIELDS["split.scheme"])
    scheme = form.now("split.scheme")
    validating = len(dataset.indices("validation"))
    if scheme == "release" and validating:
        st.caption(f"The data set's own {validating:,} validation images validate; none is taken from train.")
    elif scheme == "release":
        form.ask(FIELDS["split.validation_fraction"])
    elif scheme == "kfold":
        form.ask(FIELDS["split.folds"], FIELDS["split.fold"])
    form.ask(FIELDS["split.group_duplicates"])
    form.ask(FIELDS["classes"])
    form.ask(*(FIELDS[key] for key in ("split.per_class", "limit", "split.seed", "preprocessing")))
    generated = _generated_choice(form, dataset)
    if generated is not None:
        form.ask(FIELDS["generated_per_class"])
    return generated


def loss(form: Form) -> None:
    """The loss, and what is done for classes with few images."""
    form.ask(FIELDS["loss"], FIELDS["label_smoothing"])
    if form.now("loss") == "focal":
        form.ask(FIELDS["focal_gamma"])
    _class_weights(form)
    _oversampling(form)


def _class_weights(form: Form) -> None:
    """`none`, `balanced`, or a weight for each class."""
    own = form.own("class_weights")
    names = {
        "none": "none: every image counts the same",
        "balanced": "balanced: every class counts the same",
        "custom": "one for each class",
    }
    start = own if isinstance(own, str) else "custom"
    kind = st.selectbox(
        "Class weights",
        list(names),
        index=list(names).index(start),
        format_func=lambda name: names[name],
        **form.options("class_weights"),
    )
    if kind != "custom":
        form.note("class_weights", kind)
        return
    known: dict[str, float] = {} if isinstance(own, str) else own
    grid = st.grid(4, min_column_width=105)
    weights = {
        emotion: grid.number_input(
            f"Weight of {emotion}",
            0.0,
            1000.0,
            float(known.get(emotion, 1.0)),
            0.5,
            format="%g",
            **form.options(f"weight-{emotion}"),
        )
        for emotion in form.now("classes")
    }
    found = {emotion: weight for emotion, weight in weights.items() if weight != 1 or emotion in known}
    form.note("class_weights", found or "none")


def _oversampling(form: Form) -> None:
    """Classes that are grown to a number of training images."""
    own = form.own("oversample")
    grid = st.grid(2, min_column_width=150, vertical_alignment="bottom")
    grown = grid.multiselect(
        "Grow classes",
        EMOTIONS,
        default=list(own),
        placeholder="none",
        help="Their training images are repeated, each repeat varied by the augmentation. Study D grew "
        "disgust from 348 to 3,520.",
        **form.options("grown"),
    )
    first = max(own.values(), default=3520)
    wanted = grid.number_input("to this many images", 1, 1_000_000, first, **form.options("to"))
    if set(grown) != set(own) or (grown and wanted != first):
        form.note("oversample", {emotion: int(wanted) for emotion in grown})


def augmentation(form: Form, config: TrainConfig) -> None:
    """How images vary: as in the recipe, not at all, or by a preset."""
    from fer.augmentation import list_presets

    active = config.augmentation.active
    presets = [name for name in list_presets() if name != "none"]
    own = "as in the recipe" if active else "off, as in the recipe"
    chosen = st.selectbox(
        "Augmentation",
        ["", *(["none"] if active else []), *presets],
        format_func=lambda name: {"": own, "none": "off"}.get(name, f"preset {name}"),
        help="How training images are varied; the Augment page shows and saves presets.",
        **form.options("augmentation"),
    )
    if chosen:
        form.changed["augmentation"] = chosen


def _selection_choice(form: Form, dataset: Dataset) -> None:
    """A selection of the data set at its present version, or all images."""
    from fer.data.selection import list_selections, open_selection

    chosen = st.selectbox(
        "Images",
        ["", *list_selections(dataset)],
        format_func=lambda name: f"selection {name}" if name else "all images",
        help="Selections are made on the Outliers and Data pages; the run records the version it used.",
        **form.options("selection"),
    )
    form.note("selection", open_selection(dataset, chosen).reference if chosen else "")


def _generated_choice(form: Form, dataset: Dataset) -> "GeneratedSet | None":
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
        disabled=not sets,
        help="Added to the training images, never to validation or test. The data set is then divided as "
        "for the generator, whatever is chosen above. Sets are made on the Generate page.",
        **form.options("generated"),
    )
    return sets.get(chosen)


def device(form: Form) -> None:
    """One of the devices of this machine; each says what it is, and why it could fail."""
    from fer.backend import devices

    described = {"auto": "best one found"}
    for device in devices():
        described[device.name] = device.title + (f" – {device.problem}" if device.problem else "")
    chosen = st.selectbox(
        "Device",
        list(described),
        format_func=lambda name: f"{name}: {described[name]}",
        help="A GPU that is chosen and cannot be used makes the run fail with the reason; it never trains on "
        "the processor instead.",
        **form.options("device"),
    )
    form.note("device", chosen)
