"""Runs: every training and background job, and everything about one of them."""

import streamlit as st

from dashboard import model_import, panels, queueing, run_details, run_table, state
from fer.runs import STATES, all_tags, list_runs

panels.heading("runs")
runs = list_runs()
if not runs:
    st.info("No run yet. Trainings you start appear here and stay, whatever happens to this page.")
    panels.go_to("train", "Train a network")
    model_import.expander()
    run_details.trash()
    st.stop()

left, right = st.columns([2, 3])
text = left.text_input(
    "Search", placeholder="name, recipe, data set, tag or note", key=state.SEARCH, bind="query-params"
)
wanted = right.pills("State", STATES, selection_mode="multi", key=state.STATES, bind="query-params")
tags = all_tags()
# Not pills: these would mark up what people write, `**so**`.
tagged = st.multiselect("Tags", tags, key=state.TAGS, bind="query-params") if tags else ()
archived = st.toggle("Show archived runs") if any(run.archived for run in runs) else False
run_table.live_table(text or "", tuple(wanted or ()), tuple(tagged or ()), archived)
queueing.waiting()

names = {run.id: run.name for run in runs}
chosen = st.selectbox(
    "Open a run",
    list(names),
    format_func=lambda run_id: names[run_id],
    key=state.RUN,
    bind="query-params",
    persist_state="session",
    help="Or click a row of the table.",
)
if chosen:
    run_details.show(next(run for run in runs if run.id == chosen))
model_import.expander()
run_details.trash()
