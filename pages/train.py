"""Train: choose data, recipe and settings; start a background run; watch it live."""

import streamlit as st

from dashboard import engine_choice, live, panels, state, train_settings
from fer.recipes import RECIPES
from fer.runs import create_run, submit

panels.heading("train")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
settings, watching = st.columns([2, 3], gap="large")

with settings:
    recipe = train_settings.recipe_choice(RECIPES)
    panels.recipe_card(RECIPES[recipe])
    engine_choice.choose_engine()
    with st.form("settings", border=False):
        config, name = train_settings.training_settings(recipe, dataset)
        started = st.form_submit_button(
            "Start training", type="primary", icon=":material/play_arrow:", width="stretch"
        )
    if started and config is not None:
        with panels.errors_shown():
            run = create_run(config.to_json(), kind="train", name=name or None, recipe=recipe, repeat_after=5)
            submit(run)
            st.session_state[state.WATCHED] = run.id
            st.toast(f"{panels.plain(run.name)} is in the queue.", icon=":material/schedule:")

with watching:
    live.watch_latest()
