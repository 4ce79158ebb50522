"""Where new trainings run: this computer, or the Ray cluster whose address was set on the command line.

The address cannot be typed here: a dashboard may be shared, and the cluster's token goes wherever the
address points.
"""

import os

import streamlit as st

from dashboard import panels
from fer.runs import launchers

TITLES = {"local": "this computer", "ray": "the Ray cluster"}
KEY = "engine"


def choose_engine() -> None:
    """A popover that shows and changes the engine of new trainings."""
    now = launchers.chosen()
    engine = now["engine"]
    with st.popover(f"Trains on {TITLES.get(engine, engine)}", icon=":material/dns:", type="tertiary"):
        fixed = os.environ.get("FER_ENGINE")
        st.session_state.setdefault(KEY, engine)
        st.radio(
            "New trainings run on",
            list(TITLES),
            format_func=lambda name: TITLES[name],
            key=KEY,
            on_change=_keep,
            disabled=bool(fixed),
        )
        if fixed:
            st.caption("Set by FER_ENGINE when this dashboard was started.")
        folder = "on a shared folder" if now["shared"] else "sent there and fetched back"
        address = now["address"].replace("`", "")
        st.caption(f"Cluster: `{address}`; data and runs are {folder}.")
        st.caption("To change the address: `python -m fer engine ray --address http://127.0.0.1:8265`")


def _keep() -> None:
    now = launchers.chosen()
    with panels.errors_shown():
        launchers.choose(st.session_state[KEY], now["address"], now["shared"])
