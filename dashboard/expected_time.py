"""How long recipes take on this machine: one line a recipe, and one button that measures them all."""

import streamlit as st

from dashboard import jobs, live, panels
from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.estimates import Expected, Times, expected_times, measure
from fer.recipes import RECIPES
from fer.runs import stop

BUSY = 0.25  # share of the processor from which other programs are worth a remark


def sentence(expected: Expected) -> str:
    """An expected time with what it holds for, for people; plain text."""
    facts = expected.facts
    most = "at most " if facts.get("at_most") else ""
    text = (
        f"Expected here ({facts['device']}, {facts['precision']}): {most}{panels.duration(expected.seconds)} "
        f"for {facts['epochs']} epochs, {facts['images_per_second']:,.0f} images/s"
    )
    if len(facts.get("phases") or ()) > 1:
        text += " in the first phase"
    remarks = [str(facts["at_most"])] if most else []
    if facts.get("random_weights"):
        remarks.append("timed with random weights")
    others, busy = int(facts.get("other_runs") or 0), float(facts.get("processor_busy") or 0)
    if others:
        jobs_ran = "another job" if others == 1 else f"{others} other jobs"
        remarks.append(f"{jobs_ran} ran meanwhile, so it may be faster alone")
    elif busy > BUSY:
        remarks.append(f"other programs kept {busy:.0%} of the processor busy, so it may be faster alone")
    return f"{text}. {'; '.join(remarks).capitalize()}." if remarks else f"{text}."


def of_recipe(dataset: Dataset, recipe: str, times: Times) -> None:
    """The expected time of one recipe, its measurement at work, or the button that starts it."""
    if recipe in times.active:
        jobs.watch_run(times.active[recipe].id)
        return
    if recipe in times.known:
        st.caption(panels.plain(sentence(times.known[recipe])))
    again = recipe in times.known
    st.button(
        "Measure the time again" if again else "Measure how long it takes here",
        icon=":material/timer:",
        type="tertiary" if again else "secondary",
        on_click=_measure,
        args=(dataset.fingerprint, [recipe]),
        key=f"estimate-{recipe}",
        help="A few steps of every phase in the background; pretrained networks with random weights, so "
        "nothing is downloaded.",
    )
    if recipe in times.failed:
        live.state_line(times.failed[recipe])


def of_all(dataset: Dataset, times: Times) -> None:
    """One button that measures what is missing, and how far that is."""
    if times.active:
        _watch(dataset.fingerprint, len(times.known), len(times.failed))
        return
    missing = times.missing
    if missing:
        st.button(
            f"Measure all ({len(missing)} expected times are missing)",
            icon=":material/timer:",
            on_click=_measure,
            args=(dataset.fingerprint, missing),
            key="estimate-all",
            help="A few steps of every phase of each recipe, one recipe after the other in the background.",
        )


@st.fragment(run_every=2)
def _watch(dataset: str, known: int, failed: int) -> None:
    """How many are measured; the whole page runs again when one more is."""
    times = expected_times(dataset)
    if (len(times.known), len(times.failed)) != (known, failed) or not times.active:
        st.rerun()
    done = len(RECIPES) - len(times.missing) - len(times.active)
    running = [name for name, run in times.active.items() if run.status().state == "running"]
    text = f"Expected times: {done} of {done + len(times.active)} measured"
    if running:
        text += f"; now {running[0]}"
    row = st.container(horizontal=True, vertical_alignment="center")
    row.progress(done / (done + len(times.active)), text=panels.plain(text))
    row.button("Stop measuring", icon=":material/stop:", on_click=_stop, args=(dataset,), key="estimate-stop")


def _measure(dataset: str, recipes: list[str]) -> None:
    with panels.errors_shown():
        made = measure(dataset, recipes)
        text = f"{len(made)} measurements are in the queue." if len(made) != 1 else "Measuring."
        st.toast(text if made else "It is already on its way.", icon=":material/timer:")


def _stop(dataset: str) -> None:
    for run in expected_times(dataset).active.values():
        try:
            stop(run, wait=False)
        except UserError as error:  # it ended meanwhile
            st.toast(panels.plain(error))
