"""The ablation part of the Recipes page: start one, and the table of those there are."""

import pandas as pd
import streamlit as st

from dashboard import jobs, live, panels
from fer import ablations
from fer.data.dataset import Dataset, list_datasets
from fer.data.selection import list_selections, open_selection
from fer.recipes import recipe_config


def panel(dataset: Dataset, recipe: str) -> None:
    """What does each ingredient contribute? Every variant over several seeds, queued with one click."""
    st.subheader("Ablation", anchor=False)
    st.write(
        "The same recipe with and without class weights, augmentation, outlier removal and denoising, "
        "each over "
        "several seeds, so that chance can be told from effect."
    )
    with st.form(f"ablation-{recipe}", border=True):
        left, middle, right = st.columns(3)
        seeds = left.number_input("Seeds of each variant", 1, 20, 3)
        names = list_selections(dataset)
        selection = middle.selectbox(
            "Selection without outliers",
            ["", *names],
            format_func=lambda name: name or "leave this variant out",
        )
        others = {i.fingerprint: i.name for i in list_datasets() if i.fingerprint != dataset.fingerprint}
        denoised = right.selectbox(
            "Denoised copy", ["", *others], format_func=lambda key: others.get(key, "leave this variant out")
        )
        epochs = left.number_input("Epochs", 1, 1000, recipe_config(recipe, dataset.fingerprint).own_epochs)
        if st.form_submit_button("Queue the ablation", icon=":material/science:"):
            with panels.errors_shown():
                config = recipe_config(recipe, dataset.fingerprint, epochs=str(epochs))
                reference = open_selection(dataset, selection).reference if selection else ""
                made = ablations.start(config, int(seeds), reference, denoised)
                st.toast(f"Queued as {panels.plain(made)}.", icon=":material/schedule:")
    known = ablations.identifiers()
    if known:
        _table(st.selectbox("Results of", known))


def _table(identifier: str) -> None:
    rows = [
        {
            "variant": row.variant,
            "runs": f"{row.finished} of {row.planned}",
            "accuracy (%)": 100 * row.accuracy if row.accuracy is not None else None,
            "± 95 % interval": 100 * row.interval if row.interval is not None else None,
            "difference (points)": 100 * row.difference if row.difference is not None else None,
            "macro F1 (%)": 100 * row.macro_f1 if row.macro_f1 is not None else None,
        }
        for row in ablations.table(identifier)
    ]
    two = st.column_config.NumberColumn(format="%.2f")
    columns = dict.fromkeys(("accuracy (%)", "± 95 % interval", "macro F1 (%)"), two)
    columns["difference (points)"] = st.column_config.NumberColumn(format="%+.2f")
    panels.table(pd.DataFrame(rows), f"ablation-{identifier}", column_config=columns)
    st.caption("Mean over the seeds with Student's t interval; overlapping intervals do not show an effect.")


def estimate(dataset: Dataset, recipe: str) -> None:
    """Expected time on this machine, measured from a few steps in the background."""
    config = recipe_config(recipe, dataset.fingerprint).to_json()
    run = jobs.latest("estimate", dataset.fingerprint, recipe)
    if run is not None and run.status().state == "finished":
        found = run.metrics()
        st.caption(
            f"On this machine ({found['device']}, {found['precision']}): about "
            f"{panels.duration(found['seconds'])} "
            f"for {found['epochs']} epochs, {found['images_per_second']:,.0f} images/s."
        )
        return
    if run is not None and run.status().active:
        jobs.watch_run(run.id)
        return
    st.button(
        "Measure how long it takes here",
        icon=":material/timer:",
        on_click=jobs.start,
        args=("estimate", config, recipe),
        key=f"estimate-{recipe}",
    )
    if run is not None:
        live.state_line(run)
