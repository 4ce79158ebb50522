"""Augment: choose how training images vary, and see the very variants a training would draw."""

import streamlit as st

from dashboard import augmenting, panels

panels.heading("augment")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
settings, result = st.columns([2, 3], gap="large")
with settings:
    config = augmenting.sliders()
    augmenting.saving(config)
with result:
    augmenting.variants(dataset, config)
