"""Compare: how the runs learned, epoch by epoch."""

import pandas as pd
import streamlit as st

from dashboard import cached, charts, panels, state
from dashboard.chosen import Chosen
from fer.evaluation.protocol import chosen_epoch


def curves(chosen: Chosen) -> None:
    """Loss, accuracy and learning rate overlaid, with the kept checkpoint marked."""
    smoothing = st.slider(
        "Smoothing",
        0.0,
        0.95,
        0.0,
        0.05,
        key=state.SMOOTHING,
        bind="query-params",
        help="Weight of the past in an exponential moving average; 0 shows the values as they are.",
    )
    histories = {name: cached.history(run.directory) for name, run in chosen.named}
    histories = {name: frame for name, frame in histories.items() if not frame.empty}
    if not histories:
        st.info("These runs have no training history.")
        return
    kept = {name: chosen_epoch(run.directory) for name, run in chosen.named}
    epochs = {name: int(row["epoch"]) for name, row in kept.items() if row}
    everything = pd.concat([frame.assign(run=name) for name, frame in histories.items()])
    for quantity in ("accuracy", "loss", "learning_rate"):
        figure = charts.curves(histories, quantity, smoothing, epochs)
        panels.chart(figure, everything, f"curves-{quantity}", f"{quantity} by epoch")
