"""Predict: a photo in, faces and their expressions out; the photo stays in memory."""

import streamlit as st

from dashboard import panels, predicting

panels.heading("predict")
runs = panels.choose_runs("Models", all_at_first=True)
if not runs:
    st.stop()
one, many = "One photo", "Many photos"
view = st.segmented_control("How many", [one, many], default=one, required=True, label_visibility="collapsed")
if view == many:
    predicting.batch(runs)
    st.stop()
photo = predicting.photo_input()
if photo is None:
    predicting.empty_state()
    st.stop()
predicting.show(photo, runs)
