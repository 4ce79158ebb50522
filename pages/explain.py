"""Explain: the part of a face that speaks for a class, seen by any finished run."""

import streamlit as st

from dashboard import controls, explaining, panels

panels.heading("explain")
dataset = panels.choose_dataset()
runs = panels.choose_runs()
if dataset is None or not runs:
    st.stop()
index = controls.image_choice(dataset)
options = controls.explanation_options()
explaining.strip(dataset, index, runs, *options)
panels.note(
    "**Grad-CAM** (Selvaraju et al. 2017): the gradient of a class score with respect to each channel of "
    "the last "
    r"convolution, averaged, weighs that channel: $\mathrm{ReLU}(\sum_k \alpha_k A^k)$. Bright means: "
    r"more of this "
    "would raise the class. It says where, not why, and a map that looks plausible is no proof that the "
    "model is right."
)
