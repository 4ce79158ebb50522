"""The live camera of the Predict page: a component that shows the picture and asks `dashboard.camera_route`.

Frames go from the browser to this server and nowhere else, one at a time, 320 pixels wide; they are
predicted in memory and forgotten. streamlit-webrtc 0.79 was looked at and not taken: it installs twelve more
packages (aiortc, an FFmpeg in av, cryptography), WebRTC asks a STUN server on the internet unless told
otherwise, and a video stream is sent where fifteen small pictures a second do. This needs no package.
"""

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import camera_route
from fer.runs import Run

FOLDER = Path(__file__).parent / "components"
WIDTH, RATE = 320, 15  # of the frames that are sent: pixels, and at most so many a second


@cache
def _component() -> Any:
    html, css, js = (
        (FOLDER / f"camera.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    return st.components.v2.component("live_camera", html=html, css=css, js=js)


def live(runs: list[Run], smoothing: float, unsure_below: float) -> None:
    """The camera's picture with boxes, and the mean of the models as bars, as long as the page is open."""
    settings = {
        "path": camera_route.PATH,
        "page": "predict",
        "runs": [run.id for run in runs],
        "smoothing": smoothing,
        "unsure_below": unsure_below,
        "width": WIDTH,
        "rate": RATE,
    }
    _component()(key="live-camera", data=settings)
