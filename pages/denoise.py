"""Denoise: what a filter takes out of a face and what it costs, and a denoised copy of the data set."""

import streamlit as st

from dashboard import denoising, jobs, panels

panels.heading("denoise")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
jobs.watch("denoise", dataset.fingerprint)
settings, result = st.columns([2, 3], gap="large")
with settings:
    index = denoising.image_choice(dataset)
    config = denoising.sliders()
with result:
    denoising.comparison(dataset, index, config)
denoising.every_method(dataset, index, config)
denoising.apply(dataset, config)
denoising.watermarks(dataset)
