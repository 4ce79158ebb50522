"""Compare: the evidence on one to eight runs, side by side; what is chosen is in the address."""

import streamlit as st

from dashboard import comparison, panels
from dashboard.chosen import Chosen, choose_images

panels.heading("compare")
runs = panels.choose_runs()
if not runs:
    st.stop()
split, dataset = choose_images(runs)
view = comparison.choose_view()
chosen = comparison.evaluated(Chosen(tuple(runs), split, dataset))
if chosen.runs:
    comparison.VIEWS[view](chosen)
