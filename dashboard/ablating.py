"""The ablation part of the Recipes page: choose its variants, see what it will cost, queue it."""

import streamlit as st

from dashboard import clicks, jobs, panels, state
from fer import ablation_ingredients, ablations
from fer.data.dataset import Dataset, list_datasets
from fer.data.selection import list_selections, open_selection
from fer.errors import UserError
from fer.estimates import Expected, Times
from fer.recipes import recipe_config
from fer.training.ablation import ablation
from fer.training.config import TrainConfig

LEFT_OUT = "leave this variant out"


def panel(dataset: Dataset, recipe: str, times: Times) -> None:
    """What does each ingredient contribute? Every variant over several seeds, queued with one click."""
    st.subheader("Ablation", anchor=False)
    st.write(
        "The same recipe with and without class weights, augmentation, outlier removal and denoising, each "
        "over several seeds, so that chance can be told from effect."
    )
    with st.container(border=True):
        own = recipe_config(recipe, dataset.fingerprint)
        grid = st.grid(2, min_column_width=220)
        seeds = grid.number_input(
            "Seeds of each variant", 1, 20, 3, key=f"ablation-seeds-{recipe}", persist_state="session"
        )
        epochs = grid.number_input(
            "Epochs", 1, 1000, own.own_epochs, key=f"ablation-epochs-{recipe}", persist_state="session"
        )
        with grid.cell():
            selection, mark_first = _selection(dataset, recipe)
        with grid.cell():
            denoised, denoise_first = _denoised_copy(dataset, recipe)
        make = [name for name, first in (("denoised", denoise_first), ("outliers", mark_first)) if first]
        try:
            config = recipe_config(recipe, dataset.fingerprint, epochs=str(epochs))
            variants = [*ablation(config, 1, selection, denoised), *make]
        except UserError as error:
            st.error(panels.plain(error))
            return
        st.caption(panels.plain(cost(len(variants), seeds, epochs / own.own_epochs, times.known.get(recipe))))
        st.button(
            "Queue the ablation",
            icon=":material/science:",
            on_click=_queue,
            args=(config, seeds, selection, denoised, make),
            key=f"ablation-queue-{recipe}",
        )
    job = jobs.latest(ablation_ingredients.KIND, dataset.fingerprint, recipe)
    if job is not None and job.status().state != "finished":
        jobs.watch_run(job.id)


def cost(variants: int, seeds: int, share: float, expected: Expected | None) -> str:
    """How many trainings, and how long they take one after the other.

    share: of the recipe's epochs that each training has.
    """
    runs = variants * seeds
    text = f"{variants} variants × {seeds} {'seed' if seeds == 1 else 'seeds'} = {runs} trainings"
    if expected is None:
        return f"{text}. How long they take is not known; measure one above."
    most = "at most " if expected.facts.get("at_most") else "about "
    return f"{text}, {most}{panels.duration(runs * share * expected.seconds)} one after the other."


def copies(dataset: Dataset) -> dict[str, str]:
    """`{fingerprint: name}` of the denoised copies of a data set."""
    return {
        info.fingerprint: info.name
        for info in list_datasets()
        if info.meta.get("denoised_from") == dataset.fingerprint
    }


def _selection(dataset: Dataset, recipe: str) -> tuple[str, bool]:
    """(name@version or '', whether one is to be made first)."""
    names = list_selections(dataset)
    if names:
        chosen = st.selectbox(
            "Selection without outliers",
            ["", *names],
            format_func=lambda name: name or LEFT_OUT,
            key=f"ablation-selection-{recipe}",
            persist_state="session",
        )
        return (open_selection(dataset, chosen).reference if chosen else ""), False
    first = st.checkbox(
        "Mark outliers first",
        key=f"ablation-mark-{recipe}",
        persist_state="session",
        disabled=not len(dataset.indices("train")),
        help="Drops the training images above the 98th percentile of the autoencoder's error, as study A "
        "did. The autoencoder is trained first if it was not yet.",
    )
    panels.go_to("outliers", "No selection yet: make one on the Outliers page", dataset=dataset.name)
    return "", first


def _denoised_copy(dataset: Dataset, recipe: str) -> tuple[str, bool]:
    """(fingerprint or '', whether one is to be made first)."""
    found = copies(dataset)
    if found:
        chosen = st.selectbox(
            "Denoised copy",
            ["", *found],
            format_func=lambda key: found.get(key, LEFT_OUT),
            key=f"ablation-denoised-{recipe}",
            persist_state="session",
        )
        return chosen, False
    first = st.checkbox(
        "Make a denoised copy first",
        key=f"ablation-denoise-{recipe}",
        persist_state="session",
        help="Non-local means as in study A (h 10), as a data set of its own.",
    )
    panels.go_to("denoise", "No denoised copy yet: make one on the Denoise page", dataset=dataset.name)
    return "", first


def _queue(config: TrainConfig, seeds: int, selection: str, denoised: str, make: list[str]) -> None:
    """Queue the runs, or the job that makes an ingredient first."""
    with panels.errors_shown():
        if make:
            made, _ = clicks.once(ablation_ingredients.queue, config, make, seeds, selection, denoised)
            text = "Its ingredients are made first; then its trainings queue."
        else:
            made, text = clicks.once(ablations.start, config, seeds, selection, denoised), ""
            st.session_state[state.ABLATION] = made
        st.toast(f"Queued as {panels.plain(made)}. {text}", icon=":material/schedule:")
