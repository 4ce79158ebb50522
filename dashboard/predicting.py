"""The parts of the Predict page; photos stay in memory and are written nowhere."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from dashboard import batching, boxing, cached, camera, charts, panels, state
from dashboard.batching import UNSURE, UPLOAD_TYPES, empty_state, options
from fer.errors import UserError
from fer.prediction import (
    NO_FACE,
    FacePrediction,
    decode_photo,
    describe,
    find_faces,
    place_heatmap,
)
from fer.runs import Run


def choose_view() -> str:
    """One photo, many, or the camera; kept in the address."""
    return st.segmented_control(
        "How many",
        list(VIEWS),
        default="One photo",
        required=True,
        key=state.PREDICT_VIEW,
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed",
    )


def one(runs: list[Run]) -> None:
    """One photo: given, taken or drawn."""
    photo = photo_input()
    if photo is None:
        empty_state()
    else:
        show(photo, runs)


def live(runs: list[Run]) -> None:
    """The camera, frame by frame."""
    left, right = st.columns(2)
    smoothing = left.slider(
        "Smoothing (seconds)",
        0.0,
        3.0,
        0.5,
        0.1,
        help="How long an answer counts; 0 shows every picture alone",
    )
    threshold = (
        right.slider("Call it unsure below (%)", 0, 90, round(100 * UNSURE), 5, key="live-unsure") / 100
    )
    with st.spinner("Loading the models …"):
        cached.predictor(tuple(run.directory for run in runs))
    camera.live(runs, smoothing, threshold)
    if len(runs) > 1:
        st.caption(f"The bars are the mean of the {len(runs)} models.")
    st.caption(
        "The pictures go to this server only, are predicted in memory and forgotten; nothing is recorded. "
        "The camera works on localhost, and from another computer over HTTPS (a proxy with a certificate in "
        "front of the app). Without it, One photo takes single pictures."
    )
    not_a_feeling()


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


def no_face() -> None:
    """What to do when nothing was found."""
    st.warning(NO_FACE, icon=":material/face_retouching_off:")


def show(content: bytes, runs: list[Run]) -> None:
    """The photo with its faces boxed, and every run's seven probabilities for each face."""
    chosen = options()
    try:
        photo = decode_photo(content)
        with st.spinner("Looking for faces …"):
            faces = find_faces(photo)
    except UserError as error:
        st.error(panels.plain(error))
        return
    if not faces:
        no_face()
    faces = boxing.adjusted(photo, faces)
    if not faces:
        return
    with st.spinner("Predicting …"):
        found = cached.predictor(tuple(run.directory for run in runs)).predict(photo, chosen, faces)
    st.caption(
        f"{describe(found)} The squares are what the models see: drag them, their corners, or the photo to "
        "change, draw and remove boxes."
    )
    rows = []
    for number, face in enumerate(found, 1):
        _one_face(number, face, photo, runs)
        rows += [
            {"face": number, "model": run.name, **face.probabilities[run.id]}
            for run in runs
            if run.id in face.probabilities
        ]
    decimals = {name: st.column_config.NumberColumn(format="%.3f") for name in found[0].ensemble}
    panels.table(pd.DataFrame(rows), "predictions", column_config=decimals)
    not_a_feeling()


def not_a_feeling() -> None:
    """What must not be made of an answer."""
    st.caption(
        "An expression is not a feeling, and these models are often wrong: do not decide anything about "
        "a person by them."
    )


def _one_face(number: int, face: FacePrediction, photo: np.ndarray, runs: list[Run]) -> None:
    """Crop, verdict, each model's bars, and the heat map on the photo."""
    sure = "" if face.sure else " – unsure"
    st.subheader(f"Face {number}: {face.emotion} ({100 * face.confidence:.0f} %){sure}", anchor=False)
    grid = st.grid(4, min_column_width=230)
    with grid.cell():
        panels.faces([face.crop], ["what the models see: 48 × 48 pixels"], size=180)
    for run in runs:
        if run.id not in face.probabilities:
            continue
        with grid.cell():
            st.markdown(f"**{panels.plain(run.name)}**")
            _bars(face.probabilities[run.id], f"predict-{number}-{run.id}", face.spread.get(run.id))
    if len(runs) > 1:
        with grid.cell():
            st.markdown("**All together (mean)**")
            _bars(face.ensemble, f"predict-{number}-ensemble", None)
    if st.toggle("Show where a model looks (Grad-CAM)", key=f"heat-{number}"):
        names = {run.id: run.name for run in runs}
        chosen = runs[0].id
        if len(runs) > 1:
            chosen = st.segmented_control(
                "Model",
                list(names),
                default=chosen,
                required=True,
                format_func=lambda run_id: panels.plain(names[run_id]),
                key=f"heat-of-{number}",
                label_visibility="collapsed",
            )
        _heat(face, photo, next(run for run in runs if run.id == chosen))


def _bars(values: Mapping[str, float], key: str, spread: Mapping[str, float] | None) -> None:
    figure = charts.probabilities(values)
    st.plotly_chart(figure, key=key, config={"displaylogo": False}, alt="Probability of each expression")
    if spread:
        best = max(values, key=values.__getitem__)
        st.caption(f"Spread over the dropout passes: {best} ± {100 * spread[best]:.1f} points.")


def _heat(face: FacePrediction, photo: np.ndarray, run: Run) -> None:
    from fer.emotions import EMOTIONS
    from fer.explanation import explain

    classes = tuple(run.config.get("classes") or EMOTIONS)
    try:
        with st.spinner("Computing Grad-CAM …"):
            found = explain(cached.model(run.directory), face.crop, classes=classes)
    except UserError as error:
        st.warning(panels.plain(error))
        return
    heat = place_heatmap(photo.shape, face.face, found.heatmap)
    colours = cv2.cvtColor(
        cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    share = 0.55 * heat[..., None] ** 0.5
    mixed = (photo * (1 - share) + colours * share).astype(np.uint8)
    with st.container(width=640):  # narrower on a phone
        st.image(shrunk(mixed), caption=f"Grad-CAM for {found.target}, {run.name}", width="stretch")


def shrunk(photo: np.ndarray, side: int = 1280) -> np.ndarray:
    """The photo with its longer side at most `side` pixels."""
    scale = min(1.0, side / max(photo.shape[:2]))
    return (
        photo if scale == 1.0 else cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    )


VIEWS: dict[str, Callable[[list[Run]], None]] = {
    "One photo": one,
    "Many photos": batching.batch,
    "Live camera": live,
}
