"""Composites used on more than one page: headings, figures with downloads, pickers, face grids."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from pandas.api.types import is_numeric_dtype

from dashboard import gallery, navigation, state
from fer.cells import inert
from fer.data.dataset import Dataset, DatasetInfo, list_datasets
from fer.errors import UserError
from fer.runs import Run, list_runs, shipped_runs, statuses
from fer.runs.jobs import WITH_NETWORK
from fer.runs.run import STARTER


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show what a user can act on as one message; everything else is a defect and stays an exception."""
    try:
        yield
    except UserError as error:
        remedy = getattr(error, "remedy", "")
        st.error(
            f"{plain(error)} {plain(remedy) if remedy and remedy not in str(error) else ''}",
            icon=":material/error:",
        )


def plain(text: object) -> str:
    """Text that Streamlit's Markdown shows as it is: names of users can contain anything."""
    shown = str(text)
    for character in "\\`*_{}[]()#+-!|<>$~:":
        shown = shown.replace(character, "\\" + character)
    return shown


def heading(name: str) -> None:
    """Title and purpose of a page."""
    spec = navigation.page(name)
    st.title(spec.title)
    st.caption(spec.purpose)


def go_to(name: str, label: str, icon: str | None = None, **query: str) -> None:
    """A link to another page, with a selection in its address."""
    spec = navigation.page(name)
    st.page_link(spec.path, label=label, icon=icon or spec.icon, query_params=query or None)


def chart(figure: go.Figure, data: pd.DataFrame, name: str, alt: str, **options: Any) -> None:
    """A figure with its numbers: PNG from the figure's own toolbar, the table and its CSV below.

    Args:
        figure: what to draw.
        data: the numbers behind it.
        name: file name of the downloads, without ending; also the widget key.
        alt: what a screen reader says.
        options: for `st.plotly_chart`, such as `on_select`.
    """
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"filename": name, "scale": 2},
        "responsive": True,
    }
    st.plotly_chart(figure, **({"key": f"chart-{name}", "config": config, "alt": alt} | options))
    with st.popover("Numbers", icon=":material/table:", type="tertiary"):
        table(data, name)


def table(data: pd.DataFrame, name: str, csv: pd.DataFrame | None = None, **options: Any) -> None:
    """A table with a CSV download that cannot start a formula; of `csv`, where what is shown is rounded."""
    grid(data, f"table-{name}", **options)
    csv_download(data if csv is None else csv, name)


def grid(data: pd.DataFrame, key: str, **options: Any) -> None:
    """`st.dataframe` with inert cells: its toolbar saves, and the keyboard copies, what is shown."""
    st.dataframe(_inert_cells(data), hide_index=True, key=key, **({"placeholder": "–"} | options))


def editor(data: pd.DataFrame, key: str, **options: Any) -> pd.DataFrame:
    """`st.data_editor` with inert cells, whose rows can be added and removed too; the table as edited."""
    return st.data_editor(_inert_cells(data), hide_index=True, num_rows="dynamic", key=key, **options)


def csv_download(data: pd.DataFrame, name: str) -> None:
    """A small button that saves a table as CSV, made when it is pressed."""
    st.download_button(
        "CSV",
        partial(csv_bytes, data),
        f"{name}.csv",
        "text/csv",
        key=f"csv-{name}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def csv_bytes(data: pd.DataFrame) -> bytes:
    """CSV in UTF-8 whose text cells are inert in spreadsheets (OWASP: CSV injection)."""
    buffer = io.StringIO()
    _inert_cells(data).to_csv(buffer, index=False)
    return buffer.getvalue().encode("utf-8")


def _inert_cells(data: pd.DataFrame) -> pd.DataFrame:
    safe = data.copy()
    for column in safe.columns[[not is_numeric_dtype(kind) for kind in safe.dtypes]]:
        cells = list(safe[column])
        mapped = [inert(cell) for cell in cells]
        if mapped != cells:  # else its type stays: dates, texts, numbers with gaps
            safe[column] = pd.Series(mapped, safe.index, object)
    safe.columns = [inert(column) for column in safe.columns]
    return safe


def metrics(values: Mapping[str, str | tuple[str, str]], columns: int = 8) -> None:
    """Headline figures in boxes of equal width: `{label: value}` or `{label: (value, explanation)}`."""
    longest = max(len(label) for label in values)
    grid = st.grid(min(len(values), columns), min_column_width=max(110, 7 * longest + 62))  # none is cut off
    for label, value in values.items():
        shown, explanation = value if isinstance(value, tuple) else (value, None)
        grid.metric(label, shown, border=True, help=explanation)


def note(text: str) -> None:
    """The collapsed "what am I looking at" of a figure; Markdown and LaTeX."""
    with st.expander("What am I looking at?", icon=":material/help:"):
        st.markdown(text)


def faces(
    images: Sequence[np.ndarray] | np.ndarray,
    captions: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    tones: Sequence[str] | None = None,
    size: int = 84,
    columns: int | None = None,
    name: str = "",
    narrow: int | None = None,
) -> None:
    """A responsive grid of faces; see `gallery.gallery_html`. With a `name`, its pictures download as PNG."""
    st.html(gallery.gallery_html(images, captions, titles, tones, size, columns, narrow))
    if name and len(images):
        st.download_button(
            "PNG",
            lambda: gallery.png(gallery.sheet(images, columns or gallery.COLUMNS)),
            f"{name}.png",
            "image/png",
            key=f"png-{name}",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help="These pictures side by side, 48 × 48 pixels each",
        )


def diagram(dot: str, percent: int, alt: str, key: str) -> None:
    """A Graphviz diagram at a share of its natural size, scrolling both ways: Streamlit shrinks wide ones.

    The style holds for the container with this key alone.
    """
    with st.container(height=620, key=key):
        st.html(
            f"<style>.st-key-{key} .stGraphVizChart svg "
            f"{{max-width: none; zoom: {int(percent) / 100}; display: block}}</style>"
        )
        st.graphviz_chart(dot, width="content", alt=alt)


def choose_dataset(label: str = "Data set") -> Dataset | None:
    """The data set that all pages share, kept in the address; None after offering what to do.

    On the very first start there is nothing yet: the demo faces are drawn then.
    """
    from dashboard import cached, importing

    infos = list_datasets()
    if not infos:
        importing.draw_demo_faces()
        infos = list_datasets()
    names = [info.name for info in infos]
    name = st.selectbox(label, names, key=state.DATASET, bind="query-params", persist_state="session")
    chosen: DatasetInfo | None = next((info for info in infos if info.name == name), None)
    return cached.dataset(chosen.fingerprint) if chosen else None


def recipe_card(recipe: Any) -> None:
    """What a recipe tests and what its study reported."""
    with st.container(border=True):
        study = "ours" if recipe.study == "ours" else f"study {recipe.study}"
        st.markdown(f"**{plain(recipe.title)}** · {study}")
        st.write(plain(recipe.tests))
        facts = []
        if recipe.parameters:
            facts.append(f"{recipe.parameters:,} parameters")
        if recipe.reported.get("accuracy"):
            facts.append(f"reported {100 * recipe.reported['accuracy']:.1f} % test accuracy")
        if facts:
            st.caption(" · ".join(facts))
        if recipe.notes:
            with st.popover("Notes", icon=":material/info:", type="tertiary"):
                st.markdown("\n".join(f"- {plain(text)}" for text in recipe.notes))


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    )


def runs_with_network() -> list[Run]:
    """The starter and every run that has a network and is not at work, the newest first."""
    trained = [run for run in list_runs() if run.kind in WITH_NETWORK]
    trained = [run for run in trained if (run.directory / "best.keras").exists()]
    known = statuses(trained)
    return [*shipped_runs(), *(run for run in trained if not known[run.id].active)]


def choose_runs(label: str = "Runs", most: int = 8, all_at_first: bool = False) -> list[Run]:
    """One to eight finished runs, kept in the address; says what to do when there is none.

    The starter that comes with the program is listed first. It is chosen at first where nothing was
    trained; its config names the data set to judge it on, which is that of the other runs.

    Args:
        label: of the widget.
        most: that can be chosen.
        all_at_first: begin with the starter, or without one with all runs, not with the newest alone.
    """
    usable = runs_with_network()
    shipped = [run for run in usable if run.id == STARTER]
    trained = [run for run in usable if run.id != STARTER]
    if not usable:
        st.info(
            "No trained model yet. Train one; the demo faces take about a minute.",
            icon=":material/play_circle:",
        )
        go_to("train", "Train a network")
        return []
    by_id = {run.id: run for run in usable}
    names = {run.id: run.name for run in usable}
    first = (shipped or trained[:most]) if all_at_first else (trained or shipped)[:1]
    chosen = st.multiselect(
        label,
        list(by_id),
        default=[run.id for run in first],
        format_func=lambda i: names[i],
        max_selections=most,
        key=state.RUNS,
        bind="query-params",
        persist_state="session",
        placeholder="Choose one or more",
    )
    if not chosen:
        st.info("Choose at least one run.")
    return _judged_together([by_id[run_id] for run_id in chosen])


def _judged_together(runs: list[Run]) -> list[Run]:
    """The runs, a shipped one with the data set of the others in its config, or one that is there."""
    imported = [info.fingerprint for info in list_datasets()]
    others = {run.config.get("dataset") for run in runs if run.id != STARTER}
    judged = []
    for run in runs:
        data = run.config.get("dataset")
        if run.id == STARTER and len(others) == 1:
            data = others.copy().pop()
        elif run.id == STARTER and data not in imported and imported:
            names = {info.name: info.fingerprint for info in list_datasets()}
            data = names.get(str(st.session_state.get(state.DATASET)), imported[0])
        judged.append(run if run.id != STARTER else replace(run, config=run.config | {"dataset": data}))
    return judged
