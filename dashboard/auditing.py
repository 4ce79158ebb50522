"""Compare: whether a network does worse on some groups of images than on others."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import cached, panels, result_charts, state
from dashboard.chosen import Chosen, note_left_out
from fer.analysis import attributes
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import subgroups as audit
from fer.evaluation.comparison import Comparison


def subgroups(chosen: Chosen) -> None:
    """Accuracy of every run in each group of an attribute, and recall by group and expression."""
    found = chosen.comparison()
    dataset = found.dataset
    by = st.selectbox(
        "Groups by",
        attributes.list_attributes(dataset),
        key=state.GROUPED_BY,
        bind="query-params",
        persist_state="session",
        help="Measured qualities are cut into quarters of the whole data set. FER-2013 says nothing about "
        "the people in its pictures: bring a table of your own below.",
    )
    with panels.errors_shown():
        _results(chosen, found, str(by))
    with st.expander("Groups of your own", icon=":material/upload_file:"):
        _own(dataset)


def _results(chosen: Chosen, found: Comparison, by: str) -> None:
    if by in attributes.MEASURES:
        cached.quality(found.dataset.fingerprint)  # once, under its own spinner
    attribute = attributes.open_attribute(found.dataset, by)
    rows = audit.subgroups(found, attribute)
    if not rows:
        st.info(f"None of these {len(found):,} images is in a group of {panels.plain(by)}.")
        return
    shown = dict(zip((run.id for run in found.runs), chosen.names, strict=True))
    rows = [row | {"name": shown[row["run"]]} for row in rows]
    note_left_out(found)
    unknown = int((attribute.codes[found.indices] == attributes.UNKNOWN).sum())
    if unknown:
        st.caption(f"{unknown:,} of {len(found):,} images are in no group and left out.")
    for name, basis in dict.fromkeys((row["name"], row["basis"]) for row in rows):
        if basis == audit.UNKNOWN_LEAKS:
            st.caption(f"{panels.plain(name)} does not record which images it knew, so all are judged.")
        elif basis == audit.EVERY_ONE:
            st.caption(
                f"{panels.plain(name)} knew every one of these images, so all are judged: the figures say "
                "nothing about new faces."
            )
    for sentence in audit.findings(rows):
        st.markdown(f"- {panels.plain(sentence)}")
    table = pd.DataFrame([_line(row) for row in rows])
    name = f"subgroups-{by}"
    panels.chart(result_charts.subgroups(rows), table, name, f"Accuracy by {by}")
    panels.note(
        "Groups differ in their expressions, and expressions in how hard they are. The dash is the accuracy "
        "the group would have if each of its expressions were recognised as in the other groups, so the gap "
        "between dot and dash is what the mix of expressions does not explain. **p** tests that gap within "
        "the expressions (Cochran–Mantel–Haenszel, group against rest), corrected for the number of groups "
        "and models (Holm); it is missing where images or mistakes are too few. Images whose pixels a model "
        "knew are not judged, unless that is unknown or it knew them all. A difference says that a group is "
        "harder for this network, not why. Bars: 95 % interval (Wilson)."
    )
    _recalls(chosen.names, rows, by)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row["interval"] or (None, None)
    return {
        "run": row["name"],
        "group": row["group"],
        "images": row["images"],
        "accuracy (%)": _percent(row["accuracy"]),
        "judged": row["judged"],
        "which": row["basis"],
        "accuracy of the judged (%)": _percent(row["accuracy_judged"]),
        "low (%)": _percent(low),
        "high (%)": _percent(high),
        "predicted (%)": _percent(row["expected"]),
        "difference (points)": _percent(row["difference"]),
        "p, corrected": row["p_adjusted"],
    }


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)


def _recalls(names: list[str], rows: list[dict[str, Any]], by: str) -> None:
    st.subheader("Recall of each expression by group", anchor=False)
    name = names[0]
    if len(names) > 1:
        name = st.selectbox("Model", names, key="subgroups-run")
    table = pd.DataFrame(
        [
            {"group": row["group"]}
            | {e: None if r is None else round(100 * r, 1) for e, r in row["recall"].items()}
            | {f"{e} images": n for e, n in row["support"].items()}
            for row in rows
            if row["name"] == name
        ]
    )
    columns = {e: st.column_config.NumberColumn(f"{e} (%)", format="%.1f") for e in EMOTIONS}
    panels.table(table[["group", *EMOTIONS]], f"subgroup-recalls-{by}", csv=table, column_config=columns)
    st.caption("The CSV has the number of images behind each figure too.")


def _own(dataset: Dataset) -> None:
    """Import, list and remove attributes."""
    st.markdown(
        "A CSV with a column `image` and one column for each attribute (age, glasses, lighting …): the cell "
        "is the group. Empty cells are in no group."
    )
    st.download_button(
        "A table to fill in",
        partial(_template, dataset),
        "groups.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    upload = st.file_uploader("Table of groups (CSV)", ["csv"], max_upload_size=20, key="subgroups-table")
    if upload is not None:
        st.button(
            "Add its groups", icon=":material/upload:", on_click=_add, args=(dataset, upload.getvalue())
        )
    if problem := st.session_state.pop(state.GROUPS_REFUSED, ""):
        st.error(panels.plain(problem), icon=":material/error:")
    for name in attributes.imported_attributes(dataset):
        with st.popover(f"Remove {panels.plain(name)}", icon=":material/delete:", type="tertiary"):
            st.markdown(f"The groups of **{panels.plain(name)}** are forgotten; no run changes.")
            if st.button("Remove", key=f"subgroups-remove-{name}"):
                with panels.errors_shown():
                    attributes.delete_attribute(dataset, name)
                    st.rerun()


def _add(dataset: Dataset, content: bytes) -> None:
    """Import a table and show its first attribute."""
    try:
        made = attributes.import_attributes(dataset, content)
    except UserError as error:
        st.session_state[state.GROUPS_REFUSED] = str(error)
        return
    st.session_state[state.GROUPED_BY] = made[0]
    st.toast(f"Added: {panels.plain(', '.join(made))}.")


def _template(dataset: Dataset) -> bytes:
    return panels.csv_bytes(pd.DataFrame({"image": dataset.names, "group": ""}))
