"""Widgets that return typed values; their keys are in `dashboard.state`."""

import streamlit as st

from dashboard import state


def split_choice(splits: list[str], label: str = "Split") -> str:
    """One of the splits that the data set has."""
    return st.segmented_control(
        label, splits, default=splits[0], required=True, key=state.SPLIT, bind="query-params", persist_state="session"
    )


def reshuffle() -> None:
    """A button that draws other samples; the seed is kept in the session."""

    def draw() -> None:
        st.session_state[state.SEED] = st.session_state.get(state.SEED, 0) + 1

    st.button("Shuffle", icon=":material/shuffle:", on_click=draw, width="stretch")
