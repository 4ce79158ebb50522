"""Predict: a photo in, faces and their expressions out; the photo stays in memory."""

import streamlit as st

from dashboard import panels, predicting

panels.heading("predict")
runs = panels.choose_runs("Models", all_at_first=True)
if not runs:
    st.stop()
predicting.VIEWS[predicting.choose_view()](runs)
