"""Marking images: one panel for every page that shows faces worth keeping, dropping or relabelling."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import panels, state
from fer.data import selection as selections
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS

NEW = "cleaned"  # what the first selection of a data set is called


def choose(dataset: Dataset) -> str:
    """The name of the selection that marks go to; a new name can be typed."""
    names = selections.list_selections(dataset) or [NEW]
    chosen = st.selectbox(
        "Selection",
        names,
        key=state.SELECTION,
        bind="query-params",
        persist_state="session",
        accept_new_options=True,
        help="Marks are kept here, versioned, and chosen on the Train page. Type a new name to start "
        "another.",
    )
    return str(chosen or NEW).strip()


def decisions(dataset: Dataset, name: str) -> dict[int, selections.Decision]:
    """What the selection has decided so far; {} when it does not exist yet."""
    if name not in selections.list_selections(dataset):
        return {}
    return dict(selections.open_selection(dataset, name).decisions)


def caption(decision: selections.Decision | None) -> str:
    """A mark for the caption of a face."""
    if decision is None:
        return ""
    return {"drop": "✗ dropped", "keep": "✓ kept", "relabel": f"→ {decision.label}"}[decision.action]


def marks(
    dataset: Dataset, name: str, shown: Sequence[int], everything: np.ndarray, key: str, what: str
) -> None:
    """Buttons that keep, drop, relabel or undo the ticked faces of a page, or the whole set.

    Args:
        shown: indices of the numbered faces on this page, numbered from 1.
        everything: indices of the whole set, for the buttons that mark all of it.
        key: makes the widgets of this panel unique.
        what: what the set is, as "the 574 flagged images"; also the reason that is recorded.
    """
    ticked = st.pills(
        "Tick faces by number", range(1, len(shown) + 1), selection_mode="multi", key=f"tick-{key}"
    )
    indices = [int(shown[number - 1]) for number in ticked or ()]
    reason = st.text_input("Reason", what, key=f"reason-{key}", max_chars=selections.MAX_REASON)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    for action, icon in (("drop", "delete"), ("keep", "check"), ("undo", "undo")):
        row.button(
            f"{action.capitalize()} ticked",
            icon=f":material/{icon}:",
            key=f"{action}-{key}",
            disabled=not indices,
            on_click=_mark,
            args=(dataset, name, indices, action, "", reason, key),
        )
    label = row.selectbox("New class", EMOTIONS, key=f"label-{key}", width=140, label_visibility="collapsed")
    row.button(
        "Relabel ticked",
        icon=":material/label:",
        key=f"relabel-{key}",
        disabled=not indices,
        on_click=_mark,
        args=(dataset, name, indices, "relabel", label, reason, key),
    )
    whole = st.container(horizontal=True)
    for action, icon in (
        ("drop", "delete_sweep"),
        ("keep", "done_all"),
        ("relabel", "label"),
        ("undo", "undo"),
    ):
        whole.button(
            f"{action.capitalize()} all {len(everything):,}",
            icon=f":material/{icon}:",
            key=f"{action}-all-{key}",
            on_click=_mark,
            args=(dataset, name, everything, action, label if action == "relabel" else "", reason, key),
            disabled=not len(everything),
            help="To the class chosen above" if action == "relabel" else None,
        )


def group_marks(dataset: Dataset, name: str, members: Sequence[int], key: str, reason: str) -> None:
    """Keep, drop, relabel or undo one group of copies: all of it, or all but its first image."""
    with st.popover("Mark this group", icon=":material/edit:", type="tertiary"):
        st.caption(f"In selection {panels.plain(name)}.")
        why = st.text_input("Reason", reason, key=f"why-{key}", max_chars=selections.MAX_REASON)
        label = st.selectbox("New class", EMOTIONS, key=f"class-{key}")
        choices = (
            ("Drop all", members, "drop"),
            ("Keep the first alone", members[1:], "drop"),
            ("Keep all", members, "keep"),
            ("Relabel all", members, "relabel"),
            ("Undo", members, "undo"),
        )
        for title, chosen, action in choices:
            st.button(
                title,
                key=f"{title}-{key}",
                on_click=_mark,
                args=(dataset, name, list(chosen), action, label if action == "relabel" else "", why, key),
                width="stretch",
            )


def _mark(
    dataset: Dataset,
    name: str,
    indices: Sequence[int] | np.ndarray,
    action: str,
    label: str,
    reason: str,
    key: str,
) -> None:
    with panels.errors_shown():
        made = selections.mark(dataset, name, indices, action, label, reason)
        st.session_state[f"tick-{key}"] = []
        st.toast(
            f"{len(indices):,} marked in {panels.plain(name)}, version {made.version}.",
            icon=":material/check:",
        )


def summary(dataset: Dataset, name: str) -> None:
    """Counts, history, export, import and deletion of a selection."""
    if name in selections.list_selections(dataset):
        chosen = selections.open_selection(dataset, name)
        counts = chosen.counts()
        parts = (
            ", ".join(f"{count:,} {action}" for action, count in counts.items() if count) or "nothing marked"
        )
        st.caption(f"Selection **{panels.plain(name)}**, version {chosen.version}: {parts}.")
    with st.popover("Versions, export and import", icon=":material/history:"):
        _files(dataset, name)


def _files(dataset: Dataset, name: str) -> None:
    from fer.data.selection_csv import export_csv, import_csv

    if name in selections.list_selections(dataset):
        events = pd.DataFrame(selections.history(dataset, name))
        panels.table(events, f"history-{name}")
        _difference(dataset, name, len(events))
        st.download_button(
            "Export as CSV",
            lambda: export_csv(dataset, selections.open_selection(dataset, name)),
            f"{name}.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
        )
        if st.button("Delete this selection", icon=":material/delete:"):
            selections.delete_selection(dataset, name)
            st.rerun()
    upload = st.file_uploader("Import decisions (CSV)", ["csv"], max_upload_size=20, key=f"import-{name}")
    if upload is not None and st.button("Add them", icon=":material/upload:"):
        with panels.errors_shown():
            made = import_csv(dataset, name, upload.getvalue())
            st.toast(f"Added; {panels.plain(name)} is now version {made.version}.")


def _difference(dataset: Dataset, name: str, newest: int) -> None:
    """What two versions of a selection decide differently, image by image."""
    if newest < 1:
        return
    left, right = st.columns(2)
    before = int(left.number_input("From version", 0, newest, newest - 1, key=f"before-{name}"))
    after = int(right.number_input("to version", 0, newest, newest, key=f"after-{name}"))
    versions = (selections.open_selection(dataset, f"{name}@{number}") for number in (before, after))
    rows = [
        {
            "image": dataset.names[row["index"]],
            "given": EMOTIONS[dataset.labels[row["index"]]],
            f"version {before}": _words(row["before"]),
            f"version {after} ": _words(row["after"]),
        }
        for row in selections.diff(*versions)
    ]
    if rows:
        panels.table(pd.DataFrame(rows), f"difference-{name}")
    else:
        st.caption("These versions decide the same.")


def _words(decision: selections.Decision | None) -> str:
    if decision is None:
        return "nothing"
    return f"relabel: {decision.label}" if decision.action == "relabel" else decision.action
