"""Cells of tables that are opened in spreadsheets (OWASP: CSV injection)."""

from typing import Any


def inert(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula, nor for the start of another row; others unchanged."""
    if not isinstance(value, str):
        return value
    marked = f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return marked.replace("\r", " ")  # the csv module does not quote a lone carriage return
