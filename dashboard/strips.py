"""What a generator draws from the same noise as its training goes on, one strip every n-th epoch."""

import cv2
import numpy as np
import streamlit as st

from dashboard import panels
from fer.emotions import IMAGE_SIZE
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
        strip = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        if strip is None:
            continue  # damaged; the next one comes
        faces = np.split(strip, strip.shape[1] // IMAGE_SIZE, axis=1)
        number = int(path.stem.split("-")[1])
        titles = [f"epoch {number}, face {n + 1}" for n in range(len(faces))]
        st.caption(f"epoch {number}")
        panels.faces(faces, titles=titles, columns=len(faces))
