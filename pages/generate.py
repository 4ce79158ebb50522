"""Generate: faces out of noise, how good they are, and whether they help a classifier."""

import streamlit as st

from dashboard import generating, generating_answer, panels

panels.heading("generate")
generating.watch()
run = generating.choose_run()
if run is None:
    st.stop()
draw, kept, answer, train = st.tabs(["Draw", "Accepted faces", "Do they help?", "Train a generator"])
with draw:
    samples = generating.draw(run)
    if samples is not None:
        generating.grid(run, samples)
        generating.trajectory(samples)
        generating.accepting(run, samples)
        generating.quality(run, samples)
with kept:
    generating_answer.accepted()
with answer:
    generating_answer.remedies()
with train:
    generating.training_form()
