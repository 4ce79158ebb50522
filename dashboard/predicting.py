"""The parts of the Predict page."""

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, charts, panels
from fer.errors import UserError
from fer.runs import Run

UPLOAD_TYPES = ["jpg", "jpeg", "png", "webp", "heic", "heif", "avif", "gif", "bmp"]


def photo_input() -> bytes | None:
    """Bytes of an uploaded, taken or drawn photo."""
    upload, camera, demo = st.tabs(["Upload a photo", "Take one", "Draw one"])
    with upload:
        file = st.file_uploader("Photo with one or more faces", UPLOAD_TYPES, max_upload_size=50)
    with camera:
        st.caption("The camera works on localhost, or over HTTPS.")
        taken = st.camera_input("Look into the camera") if st.toggle("Switch the camera on") else None
    with demo:
        drawn = st.toggle("Use a drawn face", help="For trying the page without a photo at hand.")
        seed = st.number_input("Drawing number", 0, 999, 1) if drawn else 0
    chosen = file or taken
    if chosen is not None:
        return chosen.getvalue()
    return cached.demo_photo(int(seed)) if drawn else None


def empty_state() -> None:
    st.info(
        "Choose a photo: any JPEG, PNG, WebP, HEIC, AVIF or GIF up to 50 megapixels. It stays in memory, "
        "is written nowhere and sent to nobody.",
        icon=":material/lock:",
    )


def no_face() -> None:
    """What to do when nothing was found."""
    st.warning(
        "No face found. Try a photo where the face looks at the camera, is well lit and at least 40 pixels "
        "wide, or crop it closer.",
        icon=":material/face_retouching_off:",
    )


def show(content: bytes, runs: list[Run]) -> None:
    """The photo with its faces boxed, and every run's seven probabilities for each face."""
    from fer.prediction import decode_photo

    try:
        photo = decode_photo(content)
        with st.spinner("Looking for faces …"):
            found = cached.predictor(tuple(run.directory for run in runs)).predict(photo)
    except UserError as error:
        st.error(panels.plain(error))
        return
    st.image(
        boxed(photo, [face.box for face in found]),
        caption=f"{len(found)} face{'s' * (len(found) != 1)} found",
        width=640,
    )
    if not found:
        no_face()
        return
    rows = []
    for number, face in enumerate(found, 1):
        st.subheader(f"Face {number}: {face.emotion}", anchor=False)
        grid = st.grid(4, min_column_width=240)
        with grid.cell():
            panels.faces([face.crop], ["what the models see: 48 × 48 pixels"], size=200)
        for run in runs:
            values = face.probabilities[run.id]
            with grid.cell():
                st.markdown(f"**{panels.plain(run.name)}**")
                st.plotly_chart(
                    charts.probabilities(values),
                    key=f"predict-{number}-{run.id}",
                    config={"displaylogo": False},
                    alt="Probability of each expression",
                )
            rows.append({"face": number, "model": run.name, **values})
    panels.table(pd.DataFrame(rows), "predictions")
    st.caption(
        "An expression is not a feeling, and these models are often wrong: do not decide anything about "
        "a person by them."
    )


def boxed(photo: np.ndarray, boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    """(H, W, 3) uint8 copy of the photo, at most 1,280 pixels wide, with numbered boxes."""
    scale = min(1.0, 1280 / max(photo.shape[:2]))
    shown = (
        cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if scale < 1
        else photo.copy()
    )
    thick = max(2, round(max(shown.shape) / 300))
    for number, (x, y, w, h) in enumerate(boxes, 1):
        left, top, right, bottom = (round(v * scale) for v in (x, y, x + w, y + h))
        cv2.rectangle(shown, (left, top), (right, bottom), (255, 176, 0), thick)
        cv2.putText(
            shown,
            str(number),
            (left + thick, max(top - 2 * thick, 12)),
            cv2.FONT_HERSHEY_SIMPLEX,
            max(0.5, thick / 4),
            (255, 176, 0),
            thick,
        )
    return shown
