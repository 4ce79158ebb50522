"""The form that brings in a network trained elsewhere; the checks are `fer.models.foreign`'s."""

import tempfile
from pathlib import Path

import streamlit as st

from dashboard import data_page, jobs, panels, state
from fer.data.dataset import list_datasets
from fer.emotions import CSV_ORDER, EMOTIONS
from fer.errors import UserError

UPLOAD_MEGABYTES = 80  # Streamlit keeps uploads in memory; larger files go by path or command line
SCALES = {"0..1": "0 to 1", "0..255": "0 to 255", "-1..1": "−1 to 1"}
ORDERS = {"alphabetical": EMOTIONS, "fer2013.csv": CSV_ORDER}


def expander() -> None:
    """The form, folded away below the runs."""
    with st.expander("Import a model", icon=":material/upload_file:"):
        form()


def form() -> None:
    """A `.keras` file, what it expects and answers, and a name; then the run that was made of it."""
    from fer.models.foreign import import_model

    local = st.get_option("server.address") in data_page.LOOPBACK
    st.write(
        "A network trained elsewhere: a `.keras` file of Keras 3 that takes 48 × 48 grey faces and answers "
        "with the seven expressions. It is opened in a process of its own and refused if it holds code."
    )
    upload = st.file_uploader(
        f"Model file, up to {UPLOAD_MEGABYTES} MB", ["keras"], max_upload_size=UPLOAD_MEGABYTES
    )
    path = st.text_input("or its path on this computer", placeholder="/home/you/model.keras") if local else ""
    left, right = st.columns(2)
    scale = left.selectbox(
        "Pixels in training", list(SCALES), format_func=SCALES.__getitem__, help="Their range there."
    )
    order = right.selectbox(
        "Order of its outputs",
        list(ORDERS),
        format_func=lambda key: f"{key}: {', '.join(ORDERS[key])}",
        help="Class folders are read in alphabetical order; fer2013.csv numbers the classes differently.",
    )
    datasets = {info.name: info.fingerprint for info in list_datasets()}
    dataset = left.selectbox("Judge it on", list(datasets)) if datasets else None
    name = right.text_input("Name", placeholder="made from the time", key="imported-name")
    ready = upload is not None or bool(path.strip())
    if not st.button("Import the model", type="primary", icon=":material/upload:", disabled=not ready):
        return
    bar = st.progress(0.0, text="Starting …")
    try:
        with tempfile.TemporaryDirectory(prefix="fer-upload-") as folder:
            source = Path(path.strip()).expanduser()
            if upload is not None:
                source = Path(folder) / "upload.keras"
                source.write_bytes(upload.getbuffer())
            run = import_model(
                source,
                name.strip() or None,
                datasets[dataset] if dataset else None,
                scale,
                order,
                lambda fraction, text: bar.progress(fraction, text=panels.plain(text)),
            )
    except UserError as error:
        st.error(panels.plain(error), icon=":material/block:")
        return
    finally:
        bar.empty()
    st.success(f"{panels.plain(run.name)} is imported.", icon=":material/check_circle:")
    if run.config["dataset"]:
        wish = {"dataset": run.config["dataset"], "run": run.id, "split": "test"}
        jobs.start("evaluate", wish)
        st.write("It is being judged on the test images in the background.")
    row = st.container(horizontal=True)
    with row:
        panels.go_to("compare", "Compare it", **{state.RUNS: run.name})
        panels.go_to("explain", "Explain it", **{state.RUNS: run.name})
        panels.go_to("predict", "Predict with it", **{state.RUNS: run.name})
