"""Outliers: the strangest faces by reconstruction error, a threshold, and a selection without them."""

import streamlit as st

from dashboard import jobs, outlying, panels

panels.heading("outliers")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
jobs.watch("outliers", dataset.fingerprint)
scores = outlying.choose_scores(dataset)
if scores is None:
    st.stop()
flagged = outlying.threshold(dataset, scores)
distribution, faces, agreement = st.tabs(["Errors", "Faces", "Detectors"])
with distribution:
    outlying.distribution(dataset, scores, flagged)
with faces:
    outlying.faces(dataset, scores, flagged)
with agreement:
    outlying.agreement(dataset, flagged.percentile)
