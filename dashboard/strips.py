"""What a generator draws from the same noise as its training goes on, one strip every n-th epoch."""

import streamlit as st

from fer.runs import Run

SHOWN = 6


def show(run: Run) -> None:
    """The first strips and the newest of a diffusion run, read from its folder; nothing for other runs."""
    strips = sorted((run.directory / "samples").glob("epoch-*.png"))
    if not strips:
        return
    places = sorted({round(n * (len(strips) - 1) / max(SHOWN - 1, 1)) for n in range(SHOWN)})
    st.caption("Generated from the same noise each time:")
    for path in (strips[place] for place in places):
        st.image(path.read_bytes(), caption=f"epoch {int(path.stem.split('-')[1])}", width="stretch")
