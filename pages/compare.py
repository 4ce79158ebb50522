"""Compare: the reports of one or more finished runs side by side."""

import streamlit as st

from dashboard import comparison, controls, panels

panels.heading("compare")
runs = panels.choose_runs()
if not runs:
    st.stop()
split = controls.evaluation_split(runs)
reports = comparison.reports(runs, split)
if not reports:
    st.stop()

headline, classes, matrices, training = st.tabs(["Scores", "Per class", "Confusion", "Curves"])
with headline:
    comparison.headline(reports, split)
with classes:
    comparison.per_class(reports)
with matrices:
    comparison.confusion(reports)
with training:
    comparison.curves([run for run in runs if run.id in reports])
