"""Fields of a form about a training: each is one value of its config, shown by the widget that fits it.

A field counts as changed when it shows something else than the config it began with. Only changes are passed
on, so an untouched form is that config to the last digit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.training.config import TrainConfig


@dataclass(frozen=True)
class Field:
    """One value of a config's JSON and how it is asked for.

    Attributes:
        key: where it is, with dots inside.
        label, help: of the widget.
        choices: `{value: what it is called}`, for a value that is one of a few names.
        low, high, step: of a number; floats for a number that has a fraction.
        percent: a share in [0, 1], shown as per cent.
        empty: what an empty number means, which the config holds as None. Where the config has a number of
            its own, 0 means it: the browser puts that number back into a box that is cleared.
    """

    key: str
    label: str
    help: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    low: float = 0
    high: float = 1_000_000
    step: float = 1
    percent: bool = False
    empty: str = ""


class Form:
    """Asks for settings of one config and keeps what was changed.

    Args:
        content: the config's JSON, with a value for every field that is asked for.
        name: part of the widgets' keys, so that each config remembers its own changes.
    """

    def __init__(self, content: Mapping[str, Any], name: str):
        self.content = content
        self.name = name
        self.changed: dict[str, Any] = {}
        self.problems: list[UserError] = []  # texts that cannot be read

    def own(self, key: str) -> Any:
        """The config's own value."""
        value: Any = self.content
        for step in key.split("."):
            value = value[step]
        return value

    def now(self, key: str) -> Any:
        """The value as the form shows it."""
        return self.changed.get(key, self.own(key))

    def options(self, key: str) -> dict[str, Any]:
        """What keeps a widget's value for this config while another page, or another recipe, is open."""
        return {"key": f"{key}-{self.name}", "persist_state": "session"}

    def note(self, key: str, value: Any) -> None:
        """Keep a value if it is not the config's own."""
        if value != self.own(key):
            self.changed[key] = value

    def ask(self, *asked: Field, columns: int = 2) -> None:
        """Show fields side by side, as many as there is room for."""
        grid = st.grid(columns, min_column_width=150, vertical_alignment="bottom") if len(asked) > 1 else st
        for single in asked:
            try:
                value = _widget(single, self.own(single.key), grid, self.options(single.key))
            except UserError as error:
                self.problems.append(error)
            else:
                self.note(single.key, value)


def rate_field(place: Any, config: TrainConfig, **options: Any) -> str:
    """The learning rate as a setting; '' where the phases have rates of their own and none can be chosen."""
    rates = {phase.learning_rate for phase in config.phases}
    rate = place.number_input(
        "Learning rate",
        1e-9,
        10.0,
        max(rates),
        format="%g",
        step=max(rates) / 10,
        disabled=len(rates) > 1,
        help="The phases have rates of their own." if len(rates) > 1 else "The highest of its schedule.",
        **options,
    )
    return repr(rate) if len(rates) == 1 else ""


def _widget(asked: Field, own: Any, place: Any, options: dict[str, Any]) -> Any:
    """Show a field; its value, which is `own` itself where nothing was changed."""
    options = options | {"help": asked.help or None}
    if asked.choices:
        names = asked.choices
        return place.selectbox(
            asked.label, list(names), index=list(names).index(own), format_func=names.get, **options
        )
    if isinstance(own, bool):
        return place.toggle(asked.label, own, **options)
    if isinstance(own, list):
        return _list(asked, own, place, options)
    if asked.percent:
        start = round(100 * own)
        shown = place.slider(
            asked.label, min(round(asked.low), start), max(round(asked.high), start), start, **options
        )
        return own if shown == start else shown / 100
    if isinstance(asked.low, float):
        low, high = min(asked.low, own), max(float(asked.high), own)
        return place.number_input(
            asked.label, low, high, float(own), float(asked.step), format="%g", **options
        )
    if asked.empty and own is not None:
        options["help"] = f"{asked.help} 0: {asked.empty}.".strip()
        return place.number_input(asked.label, 0, int(asked.high), own, int(asked.step), **options) or None
    shown = place.number_input(
        asked.label,
        int(asked.low),
        int(asked.high),
        own,
        int(asked.step),
        placeholder=asked.empty or None,
        **options,
    )
    return own if shown is None and not asked.empty else shown


def _list(asked: Field, own: list[Any], place: Any, options: dict[str, Any]) -> list[Any]:
    """Expressions to choose from, or numbers with commas between them."""
    if all(isinstance(item, str) for item in own):
        chosen = place.multiselect(asked.label, EMOTIONS, default=own, **options)
        return own if set(chosen) == set(own) else [name for name in EMOTIONS if name in chosen]
    text = place.text_input(asked.label, ", ".join(map(str, own)), **options)
    try:
        return json.loads(f"[{text}]")
    except ValueError:
        raise UserError(f"{asked.label} is {text[:60]!r}; give numbers with commas between them.") from None
