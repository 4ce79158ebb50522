"""Checks of single values, shared by the config dataclasses: the value, its limits and what to give.

Configs come from files, forms and the command line, so nothing about their types can be assumed.
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from fer.errors import UnknownName, UserError


def check_number(what: str, value: object, low: float, high: float) -> float:
    """`value` as float if it is a finite number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"The {what} is {repr(value)[:80]}; give a number from {low:g} to {high:g}.")
    if not low <= value <= high:  # nor does any comparison with NaN hold
        shown = f"{value:g}" if isinstance(value, float) else repr(value)[:80]
        raise UserError(f"The {what} is {shown}; give a number from {low:g} to {high:g}.")
    return float(value)


def check_integer(what: str, value: object, low: int, high: int) -> int:
    """`value` if it is a whole number in [low, high]; 3.0 counts as one, True does not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"The {what} is {repr(value)[:80]}; give a whole number from {low} to {high:,}.")
    return value


def check_flag(what: str, value: object) -> bool:
    """`value` if it is true or false."""
    if not isinstance(value, bool):
        raise UserError(f"The setting {what} is {repr(value)[:80]}; give true or false.")
    return value


def check_choice(what: str, value: object, known: Iterable[str]) -> str:
    """`value` if it is one of `known`."""
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise UnknownName(what, value, known)
    return value


def check_keys(what: str, content: object, cls: type) -> dict[str, Any]:
    """`content` if it is an object whose keys are all fields of the dataclass `cls`."""
    if not isinstance(content, dict):
        raise UserError(f"A {what} is described by an object, not by {str(content)[:80]!r}.")
    known = [f.name for f in fields(cls)]
    for key in content:
        if key not in known:
            raise UnknownName(f"{what} setting", key, known)
    return content
