"""Cells of tables that are opened in spreadsheets (OWASP: CSV injection)."""

import re
from typing import Any

_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?")


def inert(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula, nor for the start of another row; others unchanged.

    A negative number stays one; of a list, each text.
    """
    if isinstance(value, list):
        return [inert(each) for each in value]
    if not isinstance(value, str) or _NEGATIVE.fullmatch(value):
        return value
    marked = f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return marked.replace("\r", " ")  # the csv module does not quote a lone carriage return
