"""The parts of the Predict page; photos stay in memory and are written nowhere."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, camera, charts, panels, state
from fer.errors import UserError
from fer.prediction import (
    FORMAT_NAMES,
    NO_FACE,
    SUFFIXES,
    Face,
    FacePrediction,
    Options,
    PhotoResult,
    decode_photo,
    describe,
    face_from_box,
    find_faces,
    place_heatmap,
    predict_files,
    read_zip,
    table_rows,
)
from fer.runs import Run

UPLOAD_TYPES = [suffix.lstrip(".") for suffix in SUFFIXES]
UNSURE = 0.5  # below this probability of the best class an answer is called unsure


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


def empty_state() -> None:
    """What can be given, and what happens to it."""
    st.info(
        f"Choose a photo: {FORMAT_NAMES}, up to 50 megapixels. It stays in memory, is written nowhere "
        "and sent to nobody.",
        icon=":material/lock:",
    )


def no_face() -> None:
    """What to do when nothing was found."""
    st.warning(f"{NO_FACE} Or draw the box by hand below.", icon=":material/face_retouching_off:")


def options() -> Options:
    """Test-time augmentation, dropout spread and the threshold of the unsure state."""
    with st.expander("Options", icon=":material/tune:"):
        views = st.toggle(
            "Average over ten mirrored and shifted copies",
            help="Test-time augmentation: slower, often better",
        )
        passes = st.slider(
            "Dropout passes for a spread", 0, 50, 0, 10, help="MC dropout (Gal & Ghahramani 2016); 0 is off"
        )
        threshold = st.slider("Call it unsure below (%)", 0, 90, round(100 * UNSURE), 5) / 100
    return Options(views=views, dropout_passes=passes, unsure_below=threshold)


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
    drawn = _box_by_hand(photo, faces)
    faces = [drawn, *faces] if drawn else faces
    st.image(boxed(photo, [face.box for face in faces]), width=640)
    if not faces:
        no_face()
        return
    with st.spinner("Predicting …"):
        found = cached.predictor(tuple(run.directory for run in runs)).predict(photo, chosen, faces)
    st.caption(describe(found))
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


def _box_by_hand(photo: np.ndarray, faces: Sequence[Face]) -> Face | None:
    """A box set with sliders, for a face that was missed."""
    height, width = photo.shape[:2]
    with st.expander("A face is missing or cut badly? Draw its box", icon=":material/crop:"):
        if not st.toggle("Use a box of mine", value=False, key="own-box"):
            return None
        across = st.slider("Left and right edge (pixels)", 0, width, (width // 4, 3 * width // 4))
        down = st.slider("Top and bottom edge (pixels)", 0, height, (height // 4, 3 * height // 4))
        try:
            box = (float(across[0]), float(down[0]), float(across[1] - across[0]), float(down[1] - down[0]))
            return face_from_box(photo, box)
        except UserError as error:
            st.warning(panels.plain(error))
            return None


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
    if st.toggle("Show where the first model looks", key=f"heat-{number}"):
        _heat(face, photo, runs[0])


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
    st.image(shrunk(mixed)[0], caption=f"Grad-CAM for {found.target}, {run.name}", width=640)


def shrunk(photo: np.ndarray, side: int = 1280) -> tuple[np.ndarray, float]:
    """The photo with its longer side at most `side` pixels, and the scale."""
    scale = min(1.0, side / max(photo.shape[:2]))
    if scale == 1.0:
        return photo.copy(), scale
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def boxed(photo: np.ndarray, boxes: Sequence[tuple[float, float, float, float]]) -> np.ndarray:
    """(H, W, 3) uint8 copy of the photo, at most 1,280 pixels long, with numbered boxes."""
    shown, scale = shrunk(photo)
    thick = max(2, round(max(shown.shape) / 300))
    for number, (x, y, w, h) in enumerate(boxes, 1):
        left, top, right, bottom = (round(v * scale) for v in (x, y, x + w, y + h))
        cv2.rectangle(shown, (left, top), (right, bottom), (255, 176, 0), thick)
        place = (left + thick, max(top - 2 * thick, 12))
        size = max(0.5, thick / 4)
        cv2.putText(shown, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 176, 0), thick)
    return shown


def batch(runs: list[Run]) -> None:
    """Many photos, or a zip of them: a table with crops, progress and CSV."""
    files = st.file_uploader(
        "Photos, or zips of photos", [*UPLOAD_TYPES, "zip"], accept_multiple_files=True, max_upload_size=200
    )
    if not files:
        empty_state()
        return
    sources: list[tuple[str, Any]] = []
    for file in files:
        if file.name.lower().endswith(".zip"):
            try:
                sources += list(read_zip(file.getvalue()))
            except UserError as error:
                st.warning(f"{panels.plain(file.name)}: {panels.plain(error)}")
        else:
            sources.append((file.name, file.getvalue()))
    bar = st.progress(0.0, text=f"0 of {len(sources)} photos")
    results: list[PhotoResult] = []
    predictor = cached.predictor(tuple(run.directory for run in runs))
    for done, result in enumerate(predict_files(predictor, sources), 1):
        results.append(result)
        bar.progress(done / max(len(sources), 1), text=f"{done} of {len(sources)} photos")
    bar.empty()
    frame = pd.DataFrame(table_rows(results))
    found = [face for result in results for face in result.faces]
    captions = [f"{face.emotion} {100 * face.confidence:.0f} %" for face in found[:200]]
    panels.faces([face.crop for face in found[:200]], captions, size=72)
    panels.table(frame, "batch")
    st.caption(f"{len(results)} photos, {len(found)} faces.")


VIEWS: dict[str, Callable[[list[Run]], None]] = {"One photo": one, "Many photos": batch, "Live camera": live}
