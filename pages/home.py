"""Home: the four steps, the state of each, and the latest runs."""

import streamlit as st

from dashboard import cached, navigation, panels, run_table
from fer.data.dataset import list_datasets
from fer.prediction.packaging import read_card
from fer.runs import list_runs, statuses

st.title("Facial expressions, measured")
st.caption(
    "Explore FER-2013, train networks in the background, compare what they learnt and where they look, "
    "then try a photo of your own."
)

dataset = panels.choose_dataset("Data set you work with")
infos = list_datasets()
runs = [run for run in list_runs() if run.kind == "train"]
states = statuses(runs)
finished = [run for run in runs if states[run.id].state == "finished"]
active = [run for run in runs if states[run.id].state in ("queued", "running")]


def best_accuracy() -> str:
    """The best accuracy on unseen test images among the finished runs on this data set, as a sentence."""
    here = [run for run in finished if dataset and run.config.get("dataset") == dataset.fingerprint]
    if not here:
        return f"No finished run{' on this data set' if finished else ''} yet. {starter()}"
    scored = [run for run in here if run.test_metrics().get("accuracy") is not None]
    if not scored:
        return f"{len(here)} finished, none of them measured on test images. {starter()}"
    best = max(scored, key=lambda run: run.test_metrics()["accuracy"])
    accuracy, clean = (best.test_metrics().get(name) for name in ("accuracy", "accuracy_without_leaks"))
    without = "" if clean is None else f", {100 * clean:.1f} % without leaked images"
    return f"{len(here)} finished, best {100 * accuracy:.1f} % on test{without} ({panels.plain(best.name)})."


def starter() -> str:
    """What the model that comes with the program is worth, '' when it is not there."""
    score = read_card().get("scores", {}).get("PublicTest", {})
    if not score:
        return ""
    accuracy, clean = 100 * score["accuracy"], 100 * score["accuracy_without_leaks"]
    return f"The starter is ready: {accuracy:.1f} % on PublicTest, {clean:.1f} % without leaked images."


def training_state() -> str:
    if active:
        status = states[active[0].id]
        more = f", {len(active) - 1} more waiting or running" if len(active) > 1 else ""
        return (
            f"{panels.plain(active[0].name)}: {status.state}, epoch {status.epoch} of {status.epochs}{more}."
        )
    return "Nothing is training. The baseline takes a few minutes on a laptop."


only_demo = all(info.source == "demo" for info in infos)
steps = (
    (
        "data",
        "1 · Import",
        f"{len(infos)} data set{'s' * (len(infos) != 1)}, "
        f"{sum(info.images for info in infos):,} images."
        + (" Only the drawn demo faces so far: bring FER-2013." if only_demo else ""),
        "Import faces",
    ),
    (
        "explore",
        "2 · Explore",
        f"{panels.plain(dataset.name)}: {len(dataset):,} images, "
        f"{len(dataset.counts())} splits, 7 expressions."
        if dataset
        else "",
        "Look at the data",
    ),
    ("train", "3 · Train", training_state(), "Train a network"),
    ("predict", "4 · Try it", best_accuracy(), "Predict a photo"),
)
grid = st.grid(4, min_column_width=200, border=True)
for name, title, text, label in steps:
    with grid.cell():
        st.subheader(f"{navigation.page(name).icon} {title}", anchor=False)
        st.write(text)
        panels.go_to(name, label, icon=":material/arrow_forward:")

if dataset:
    st.subheader("A face of each expression", anchor=False)
    images, captions = cached.one_of_each(dataset.fingerprint)
    panels.faces(images, captions, size=96)

if runs:
    st.subheader("Latest runs", anchor=False)
    run_table.runs_table(runs[:5], "home-runs")
    panels.go_to("runs", "All runs")
