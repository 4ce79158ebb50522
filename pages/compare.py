"""Compare: the evidence on one to eight runs, side by side; what is chosen is in the address."""

import streamlit as st

from dashboard import comparison, controls, panels

panels.heading("compare")
runs = panels.choose_runs()
if not runs:
    st.stop()
split = controls.evaluation_split(runs)
view = comparison.choose_view()
runs = comparison.evaluated(runs, split)
if runs:
    comparison.VIEWS[view](runs, split)
