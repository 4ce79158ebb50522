"""The parts of the Recipes page: the table of all recipes, and one of them opened."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import ablating, ablation_results, expected_time, network_view, panels, recipe_figures, state
from fer.data.dataset import Dataset
from fer.estimates import Times, expected_times
from fer.measured import FIGURES, Standing, main_figure, measured
from fer.recipes import RECIPES, Recipe, recipe_config
from fer.runs import Run, create_run, list_runs, statuses, submit

TABLE = "recipes"
ROW = 66  # pixels: above 64 (4 rem) Streamlit wraps, so that a question is read whole


def show(dataset: Dataset) -> None:
    """The whole page below the choice of the data set."""
    here, times = measured(dataset.fingerprint), expected_times(dataset.fingerprint)
    _table(dataset, here, times)
    expected_time.of_all(dataset, times)
    _opened(dataset, here, times)


def rows(here: dict[str, Standing], times: Times) -> pd.DataFrame:
    """One row a recipe; every figure in percent, in the recipe's own main figure."""
    return pd.DataFrame([_row(recipe, here.get(recipe.name), times) for recipe in RECIPES.values()])


def _row(recipe: Recipe, standing: Standing | None, times: Times) -> dict[str, Any]:
    figure = main_figure(recipe)
    reported = recipe.reported.get(figure)
    found = standing.main if standing else None
    mean, half, best, clean = None, None, None, None
    if found is not None:
        mean, half, best = found.mean(figure), found.interval(figure), found.best(figure)
        clean = found.mean("accuracy_without_leaks")
    expected = times.known.get(recipe.name)
    return {
        "recipe": recipe.name,
        "study": recipe.study,
        "what it tests": recipe.tests,
        "figure": FIGURES[figure],
        "reported (%)": _percent(reported),
        "here (%)": _percent(mean),
        "best (%)": _percent(best),
        "difference (points)": _percent(best - reported) if best is not None and reported else None,
        "runs": len(found.runs) if found else 0,
        "expected time": expected.seconds if expected else None,
        "parameters": recipe.parameters,
        "± (points)": _percent(half),
        "without leaks (%)": _percent(clean),
        "with changes": _changed(standing, figure),
    }


def _changed(standing: Standing | None, figure: str) -> str | None:
    """The best run that follows a note of the recipe, else the one with fewest changes: figure and what."""
    if standing is None:
        return None
    noted = [(value, group.how) for group in standing.others if (value := group.best(figure)) is not None]
    nearest = standing.nearest
    if not noted and nearest is not None and nearest.metrics.get(figure) is not None:
        noted = [(float(nearest.metrics[figure]), nearest.changed)]
    if not noted:
        return None
    value, how = max(noted)
    return f"{100 * value:.1f} %: {how}"


def _percent(share: float | None) -> float | None:
    return 100 * share if share is not None else None


def _table(dataset: Dataset, here: dict[str, Standing], times: Times) -> None:
    panels.table(
        rows(here, times),
        TABLE,
        height=500,
        row_height=ROW,
        column_config=_columns(),
        on_select=_open,
        selection_mode="single-row",
    )
    st.caption(
        f"Click a row to open the recipe. Here: the mean over the seeds of the finished runs on "
        f"{panels.plain(dataset.name)} that changed nothing but seed and device, scored on its test split; "
        "the difference is the best run minus the reported figure. The studies scored PublicTest and "
        "PrivateTest together, unless a recipe's notes say otherwise."
    )


def _columns() -> dict[str, Any]:
    def number(width: int, text: str, sign: str = "", label: str | None = None) -> Any:
        return st.column_config.NumberColumn(label, format=f"%{sign}.1f", width=width, help=text)

    return {
        "recipe": st.column_config.TextColumn(width=145, pinned=True),
        "study": st.column_config.TextColumn(width=45),
        "what it tests": st.column_config.TextColumn(width=210),
        "figure": st.column_config.TextColumn(
            width=75, help="What the study judged it by; the columns to the right are of this figure."
        ),
        "reported (%)": number(80, "In the study."),
        "here (%)": number(62, "Mean over the seeds of the runs that changed nothing but seed and device."),
        "best (%)": number(62, "The best of these runs: it flatters when there are many."),
        "difference (points)": number(75, "The best run here minus reported.", "+", "difference"),
        "runs": st.column_config.NumberColumn(width=42, help="How many runs, repeats of a seed included."),
        "expected time": st.column_config.NumberColumn(
            format="duration", width=95, help="On this machine, from a few steps of every phase; at most."
        ),
        "parameters": st.column_config.NumberColumn(format="localized", width=90),
        "± (points)": number(75, "Half of the 95 % interval of the mean over the seeds, from two seeds on."),
        "without leaks (%)": number(
            110, "Mean accuracy here without the test images that are also in the training images."
        ),
        "with changes": st.column_config.TextColumn(
            width=150,
            help="A run that is not the recipe as it stands, and what it changed: what a note of the recipe "
            "names, such as study C's split, whose test images are others; else the run with fewest changes.",
        ),
    }


def _open() -> None:
    chosen = st.session_state[f"table-{TABLE}"]["selection"]["rows"]
    if chosen and chosen[0] < len(RECIPES):
        st.session_state[state.RECIPE] = list(RECIPES)[chosen[0]]


def _opened(dataset: Dataset, here: dict[str, Standing], times: Times) -> None:
    """One recipe: its question, what was reported and measured, how it trains, its network, its ablation."""
    name = st.selectbox(
        "Open a recipe", list(RECIPES), key=state.RECIPE, bind="query-params", persist_state="session"
    )
    recipe = RECIPES[name]
    left, right = st.columns(2, gap="large")
    with left:
        panels.recipe_card(recipe)
        _buttons(dataset, name, times)
        expected_time.of_recipe(dataset, name, times)
        st.subheader("Reported and measured", anchor=False)
        recipe_figures.reported_and_measured(recipe, here.get(name, Standing()))
    with right:
        network_view.show(recipe)
    st.subheader("How it trains", anchor=False)
    own_validation = len(dataset.indices("validation"))
    recipe_figures.how_it_trains(recipe_config(name, dataset.fingerprint), name, own_validation)
    ablating.panel(dataset, name, times)
    ablation_results.panel(dataset, name)


def _buttons(dataset: Dataset, recipe: str, times: Times) -> None:
    """Train it as it stands at once, or as a clone to change first; and the way to the run at work."""
    row = st.container(horizontal=True)
    row.button(
        "Train it",
        type="primary",
        icon=":material/play_arrow:",
        on_click=_train,
        args=(dataset, recipe, times),
        key=f"train-{recipe}",
        help="Queues the recipe as it stands, on the data set chosen above.",
    )
    clone = row.button(
        "Train it as a clone",
        icon=":material/content_copy:",
        key=f"clone-{recipe}",
        help="Opens the Train page with this recipe's settings, to change them first.",
    )
    if clone:
        # Recipe and data set are bound to boxes that both pages share, and go along by themselves.
        st.switch_page("../pages/train.py", query_params={"clone": "1"})
    for run in _active(dataset, recipe)[:3]:
        panels.go_to("runs", f"Watch {panels.plain(run.name)}", icon=":material/visibility:", run=run.id)


def _train(dataset: Dataset, recipe: str, times: Times) -> None:
    with panels.errors_shown():
        config = recipe_config(recipe, dataset.fingerprint)
        run = create_run(config.to_json(), kind="train", recipe=recipe, repeat_after=5)
        submit(run)
        st.session_state[state.WATCHED] = run.id
        expected = times.known.get(recipe)
        ready = f" About {panels.duration(expected.seconds)}, once it starts." if expected else ""
        st.toast(f"{panels.plain(run.name)} is in the queue.{ready}", icon=":material/schedule:")


def _active(dataset: Dataset, recipe: str) -> list[Run]:
    """Trainings of the recipe on the data set that wait or run, the newest first."""
    runs = [run for run in list_runs() if run.kind == "train" and run.recipe == recipe]
    runs = [run for run in runs if run.config.get("dataset") == dataset.fingerprint]
    known = statuses(runs)
    return [run for run in runs if known[run.id].active]
