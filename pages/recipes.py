"""Recipes: every experiment of the studies and ours, reported beside measured, each a click from training."""

import streamlit as st

from dashboard import panels, recipe_page

panels.heading("recipes")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
recipe_page.show(dataset)
