"""A double click is one click: what was just done is not done again."""

import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import streamlit as st

SECONDS = 5.0
_LAST = "last wish done"  # key of the session state

P = ParamSpec("P")
T = TypeVar("T")


def once(do: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """`do(*arguments, **named)`; the same again within `SECONDS` returns what it returned and does nothing.

    The seconds count from the end, since much can take longer than that to queue. What raised may be asked
    for again at once, so that its reason is shown again.
    """
    wish = (do, arguments, named)
    last = st.session_state.get(_LAST, {})
    if last.get("wish") == wish and time.monotonic() - last["when"] < SECONDS:
        made: T = last["made"]
        return made
    # Put there before: a second click that waits ends this script when it next touches the session state.
    done: dict[str, Any] = {}
    st.session_state[_LAST] = done
    made = do(*arguments, **named)
    done |= {"wish": wish, "made": made, "when": time.monotonic()}
    return made
