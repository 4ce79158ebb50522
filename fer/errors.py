"""Errors a user can act on.

Every message is one sentence that names the value, the limit and the remedy. The command line prints
it and exits with status 1; the dashboard shows it once. Anything else that escapes is a defect.
"""


class UserError(Exception):
    """What the user gave cannot be used; the message says why and what to do instead."""


class UnknownName(UserError):
    """A name that is not in a known list, with the list in the message."""

    def __init__(self, kind: str, name: object, known: list[str] | tuple[str, ...]):
        shown = repr(str(name)[:80])
        choices = ", ".join(known) if known else "none yet"
        super().__init__(f"Unknown {kind} {shown}. Choose from: {choices}.")
