"""Many photos on the Predict page: given, predicted as they are read, listed with the faces and as CSV."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd
import streamlit as st
from starlette.formparsers import MultiPartParser

from dashboard import cached, panels
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.prediction import (
    FORMAT_NAMES,
    SUFFIXES,
    Options,
    PhotoResult,
    predict_files,
    read_zip,
    table_rows,
    zip_photos,
)
from fer.runs import Run

UPLOAD_TYPES = [suffix.lstrip(".") for suffix in SUFFIXES]
UNSURE = 0.5  # below this probability of the best class an answer is called unsure
MOST_MEGABYTES = 200  # of one upload here
SHOWN = 500  # rows of the table that get a picture

# The web server would write uploads above 1 MB to a temporary file before Streamlit reads them back into
# memory; photos must not touch the disk. Larger uploads than these are data sets.
MultiPartParser.spool_max_size = (MOST_MEGABYTES + 1) * 1024**2

File = tuple[str, bytes | UserError]


def empty_state() -> None:
    """What can be given, and what happens to it."""
    st.info(
        f"Choose a photo: {FORMAT_NAMES}, up to 50 megapixels. It stays in memory, is written nowhere "
        "and sent to nobody.",
        icon=":material/lock:",
    )


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


def batch(runs: list[Run]) -> None:
    """Many photos, or zips of them: a table with the faces, progress and CSV."""
    files = st.file_uploader(
        "Photos, or zips of photos",
        [*UPLOAD_TYPES, "zip"],
        accept_multiple_files=True,
        max_upload_size=MOST_MEGABYTES,
    )
    chosen = options()
    if not files:
        empty_state()
        return
    results = _results(files, runs, chosen)
    found = [face for result in results for face in result.faces]
    failed = sum(result.error is not None for result in results)
    st.caption(f"{len(results)} photos, {len(found)} faces" + (f"; {failed} without one." if failed else "."))
    if failed:
        with st.expander("Why there is no face", icon=":material/face_retouching_off:"):
            told = [(r.name, str(r.error)) for r in results if r.error]
            lines = [error if name in error else f"{name}: {error}" for name, error in told[:SHOWN]]
            st.markdown("\n".join(f"- {panels.plain(line)}" for line in lines))
    frame = pd.DataFrame(table_rows(results))
    whole = frame.columns.intersection(["face", "x", "y", "width", "height"])
    frame[whole] = frame[whole].astype("Int64")  # rows without a face have no numbers
    if len(runs) > 1:
        st.caption(f"The probabilities are the mean of the {len(runs)} models.")
    crops: list[np.ndarray | None] = []
    for result in results:  # a row for each face, and one for a photo without
        crops += [face.crop for face in result.faces] or [None]
    pictures = [None if crop is None else _as_url(crop) for crop in crops[:SHOWN]]
    decimals = {name: st.column_config.NumberColumn(format="%.3f") for name in frame.select_dtypes("float")}
    panels.grid(
        frame.assign(picture=pictures + [None] * (len(frame) - len(pictures))),
        "table-batch",
        row_height=56,
        column_order=["picture", "file", "emotion", "confidence", "sure", *EMOTIONS],
        column_config=decimals
        | {"picture": st.column_config.ImageColumn("face", help="What the models see, 48 × 48 pixels")},
    )
    st.caption("The CSV also has where each face is in its photo, in pixels.")
    panels.csv_download(frame, "batch")


def _results(files: Sequence[Any], runs: list[Run], chosen: Options) -> list[PhotoResult]:
    """Predicted once and kept in this session's memory: choosing a row must not predict all again."""
    key = (tuple(file.file_id for file in files), tuple(str(run.directory) for run in runs), chosen)
    kept = st.session_state.get("batch-results")
    if kept and kept[0] == key:
        return kept[1]
    total = sum(_count(file) for file in files)
    predictor = cached.predictor(tuple(run.directory for run in runs))
    bar = st.progress(0.0, text=f"0 of {total} photos")
    results: list[PhotoResult] = []
    for done, result in enumerate(predict_files(predictor, _photos(files), chosen), 1):
        results.append(result)
        bar.progress(min(done / max(total, 1), 1.0), text=f"{done} of {total} photos")
    bar.empty()
    st.session_state["batch-results"] = (key, results)
    return results


def _photos(files: Sequence[Any]) -> Iterator[File]:
    """Every photo, zips unpacked one member at a time; a zip that cannot be read is a row with its reason."""
    for file in files:
        if not _is_zip(file):
            yield file.name, file.getvalue()
            continue
        try:
            yield from read_zip(file.getvalue())
        except UserError as error:
            yield file.name, error


def _count(file: Any) -> int:
    try:
        return len(zip_photos(file.getvalue())) if _is_zip(file) else 1
    except UserError:
        return 1


def _is_zip(file: Any) -> bool:
    return file.name.lower().endswith(".zip")


def _as_url(crop: np.ndarray) -> str:
    content = cv2.imencode(".png", crop)[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(content).decode()
