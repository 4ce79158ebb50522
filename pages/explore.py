"""Explore: classes, samples, pixels, mean faces, quality and a map of the chosen data set."""

import streamlit as st

from dashboard import exploring, panels

panels.heading("explore")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
exploring.headline(dataset)
view = exploring.choose_view()
exploring.VIEWS[view](dataset)
