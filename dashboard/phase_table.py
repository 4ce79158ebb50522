"""The phases of a training as a table to edit, one row a phase, and as a sentence."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import panels
from fer.training.phase import IMAGE_SETS, MONITORS, OPTIMIZERS, SCHEDULES, Phase

_TYPES = {name: type(value) for name, value in Phase().to_json().items()}
# A row that is added has empty cells, for which NumPy's bool and int have no value.
_EMPTY_FITS = {
    name: {bool: "boolean", int: "Int64"}.get(kind, object if kind is str else kind)
    for name, kind in _TYPES.items()
}
_OPTIMIZER_NAMES = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
_IMAGE_SET_NAMES = {"hard": "on images classified wrongly", "smote": "on features balanced by SMOTE"}
_ORDER = (
    "name",
    "epochs",
    "optimizer",
    "learning_rate",
    "schedule",
    "warmup_epochs",
    "trainable",
    "images",
    "augment",
    "start",
    "weight_decay",
    "momentum",
    "minimum_learning_rate",
    "plateau_factor",
    "plateau_patience",
    "plateau_monitor",
)


def edit(phases: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The phases as the table shows them: JSON in, JSON out, equal where nothing was edited.

    name: part of the widget's key. What was edited is kept while another page or recipe is open.
    """
    key, base, kept = f"phases-{name}", f"phases-{name} at first", f"phases-{name} as edited"
    if key not in st.session_state:  # the table is new on the page
        st.session_state[base] = st.session_state.get(kept, list(phases))
    rows = st.session_state[base]
    new = rows[-1] | {"name": "new phase"} if rows else Phase().to_json()
    table = pd.DataFrame(rows, columns=list(_TYPES)).astype(_EMPTY_FITS)
    shown = panels.editor(table, key, column_order=_ORDER, column_config=_columns(new))
    edited = [_phase(row, new) for row in shown.to_dict("records")]
    st.session_state[kept] = edited
    return edited


def sentence(phases: Sequence[Phase]) -> str:
    """What happens, phase after phase, in plain words."""
    total = sum(phase.epochs for phase in phases)
    head = f"{len(phases)} phases, {total} epochs: " if len(phases) > 1 else ""
    return head + " → ".join(_words(phase, len(phases) > 1) for phase in phases)


def _words(phase: Phase, named: bool) -> str:
    optimizer = _OPTIMIZER_NAMES.get(phase.optimizer, phase.optimizer)
    words = [f"{phase.epochs} epochs of {optimizer}" if phase.epochs > 1 else f"1 epoch of {optimizer}"]
    words.append(f"{phase.schedule} rate {phase.learning_rate:g}")
    if phase.warmup_epochs and phase.schedule != "onecycle":
        words.append(f"{phase.warmup_epochs:g} of warm-up")
    if phase.trainable != "all":
        words.append({"head": "head only", "backbone": "backbone only"}.get(phase.trainable, phase.trainable))
    if phase.images != "all":
        words.append(_IMAGE_SET_NAMES.get(phase.images, phase.images))
    if named and not phase.augment:
        words.append("images as they are")
    return (f"{phase.name}: " if named else "") + ", ".join(words)


def _phase(row: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A row as plain values; an empty cell has what a new phase has."""
    return {name: kind(new[name] if pd.isna(row[name]) else row[name]) for name, kind in _TYPES.items()}


def _columns(new: dict[str, Any]) -> dict[str, Any]:
    """A column for every value of a phase; a row that is added begins with the values of `new`."""
    column = st.column_config

    def number(label: str, name: str, low: float, high: float, text: str = "", **options: Any) -> Any:
        return column.NumberColumn(
            label, help=text, required=True, default=new[name], min_value=low, max_value=high, **options
        )

    def choice(label: str, name: str, choices: Sequence[str], text: str = "") -> Any:
        return column.SelectboxColumn(
            label, help=text, required=True, default=new[name], options=list(choices)
        )

    return {
        "name": column.TextColumn(
            "Phase", required=True, default=new["name"], max_chars=60, pinned=True, width=110
        ),
        "epochs": number("Epochs", "epochs", 1, 1000, "At most; early stopping may end it sooner.", step=1),
        "optimizer": choice("Optimizer", "optimizer", OPTIMIZERS, "SGD has Nesterov momentum."),
        "learning_rate": number(
            "Rate", "learning_rate", 1e-12, 10.0, "The highest rate of the schedule.", format="%g"
        ),
        "schedule": choice(
            "Schedule",
            "schedule",
            SCHEDULES,
            "plateau: lowered when the figure it watches stands still; cosine: falls to the minimum; "
            "onecycle: rises, then falls",
        ),
        "warmup_epochs": number(
            "Warm-up", "warmup_epochs", 0.0, 1000.0, "Epochs in which the rate rises first.", format="%g"
        ),
        "trainable": column.TextColumn(
            "Trains",
            help="all; head: what follows the backbone; backbone; or layers A-B: the backbone's layers A to "
            "B - 1 and the head",
            required=True,
            default=new["trainable"],
            validate=r"^(all|head|backbone|layers \d+-\d+)$",
        ),
        "images": choice(
            "Images",
            "images",
            IMAGE_SETS,
            "hard: those it classifies wrongly when the phase starts; smote: features balanced by SMOTE, "
            "for the last layer",
        ),
        "augment": column.CheckboxColumn(
            "Varies", help="Whether this phase varies its images.", default=new["augment"]
        ),
        "start": choice("Starts from", "start", ("best", "last"), "The best weights so far, or the last."),
        "weight_decay": number("Weight decay", "weight_decay", 0.0, 1.0, "Decoupled (AdamW).", format="%g"),
        "momentum": number("Momentum", "momentum", 0.0, 0.999, "Of SGD.", format="%g"),
        "minimum_learning_rate": number(
            "Lowest rate", "minimum_learning_rate", 0.0, 10.0, "The schedule stops here.", format="%g"
        ),
        "plateau_factor": number(
            "Plateau factor", "plateau_factor", 0.01, 0.99, "The rate is multiplied by it.", format="%g"
        ),
        "plateau_patience": number(
            "Plateau patience", "plateau_patience", 1, 1000, "Epochs without improvement.", step=1
        ),
        "plateau_monitor": choice("Plateau watches", "plateau_monitor", MONITORS),
    }
