"""Take a run's network away from its page, with how much the exported file differs from it."""

import tempfile
from pathlib import Path

import streamlit as st

from dashboard import panels
from fer.prediction.export import IMAGES, LARGEST_DIFFERENCE, export_run
from fer.runs import Run

FORMATS = {"keras": "Keras (float32)", "onnx": "ONNX"}


def export(run: Run) -> None:
    """Buttons that make the file, then its download and the difference that was measured."""
    st.markdown("**The network for other programs**")
    row = st.container(horizontal=True)
    for form, label in FORMATS.items():
        if row.button(f"Make {label}", key=f"export-{form}-{run.id}", icon=":material/output:"):
            with panels.errors_shown(), st.spinner(f"Making and checking {label} …"):
                st.session_state[_key(run)] = _made(run, form)
    made = st.session_state.get(_key(run))
    if not made:
        return
    form, content, difference = made
    st.download_button(
        f"{FORMATS[form]} ({len(content) / 1e6:.2f} MB)",
        content,
        f"{run.id}.{form}",
        icon=":material/download:",
        on_click="ignore",
        key=f"exported-{run.id}",
    )
    st.caption(
        f"On {IMAGES} images its probabilities differ from the run's by at most {difference:.1e}; above "
        f"{LARGEST_DIFFERENCE:g} no file is made. It takes (N, 48, 48, 1) float32 in [0, 1]."
    )


def _made(run: Run, form: str) -> tuple[str, bytes, float]:
    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder:
        target = Path(folder) / f"model.{form}"
        result = export_run(run, target, form)
        return form, target.read_bytes(), result["max_difference"]


def _key(run: Run) -> str:
    return f"exported {run.id}"
