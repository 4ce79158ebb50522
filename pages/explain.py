"""Explain: the part of a face that speaks for a class, seen by any trained model."""

import streamlit as st

from dashboard import explaining, panels

panels.heading("explain")
dataset = panels.choose_dataset()
runs = panels.choose_runs()
if dataset is None or not runs:
    st.stop()
view = explaining.choose_view()
explaining.VIEWS[view](dataset, runs)
