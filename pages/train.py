"""Train: choose data, recipe and settings; start a background run; watch it live."""

import streamlit as st

from dashboard import engine_choice, live, panels, state, train_settings
from fer.recipes import RECIPES

panels.heading("train")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
settings, watching = st.columns([1, 1], gap="large")

with settings:
    recipe = train_settings.recipe_choice(RECIPES)
    panels.recipe_card(RECIPES[recipe])
    engine_choice.choose_engine()
    train_settings.panel(recipe, dataset)

with watching:
    live.watch_latest()

if started := st.session_state.pop(state.STARTED, ""):
    st.toast(f"{panels.plain(started)} is in the queue.", icon=":material/schedule:")
