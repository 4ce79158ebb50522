"""Compare: whether a network does worse on some groups of images than on others."""

from functools import partial

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
    try:
        found = chosen.comparison()
    except UserError as error:
        st.warning(panels.plain(error))
        return
    dataset = found.dataset
    by = st.selectbox(
        "Groups by",
        attributes.list_attributes(dataset),
        key=state.GROUPED_BY,
        bind="query-params",
        persist_state="session",
        help="Measured qualities are cut into quarters. FER-2013 says nothing about the people in its "
        "pictures: bring a table of your own below.",
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
    for sentence in audit.findings(rows):
        st.markdown(f"- {panels.plain(sentence)}")
    if not audit.findings(rows):
        st.caption("No group differs from what its expressions predict by more than chance.")
    table = pd.DataFrame([_line(row) for row in rows])
    name = f"subgroups-{by}"
    panels.chart(result_charts.subgroups(rows), table, name, f"Accuracy by {by}")
    panels.note(
        "Groups differ in their expressions, and expressions in how hard they are. The dash is what the "
        "network's recalls over all these images predict for the group's own mix of expressions, so the gap "
        "between dot and dash is what the mix does not explain. **p** tests that gap within the expressions "
        "(Cochran–Mantel–Haenszel, group against rest), corrected for the number of groups (Holm); it is "
        "missing where the images are too few. A difference says that a group is harder for this network, "
        "not why. Bars: 95 % bootstrap interval."
    )
    _recalls(chosen.names, rows, by)


def _line(row: dict) -> dict:
    low, high = row["interval"]
    clean = row["accuracy_without_leaks"]
    return {
        "run": row["name"],
        "group": row["group"],
        "images": row["images"],
        "accuracy (%)": round(100 * row["accuracy"], 2),
        "low (%)": round(100 * low, 2),
        "high (%)": round(100 * high, 2),
        "without leaked images (%)": None if clean is None else round(100 * clean, 2),
        "predicted (%)": round(100 * row["expected"], 2),
        "difference (points)": round(100 * row["difference"], 2),
        "p, corrected": row["p_adjusted"],
    }


def _recalls(names: list[str], rows: list[dict], by: str) -> None:
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
    if upload is not None and st.button("Add its groups", icon=":material/upload:"):
        with panels.errors_shown():
            made = attributes.import_attributes(dataset, upload.getvalue())
            st.toast(f"Added: {panels.plain(', '.join(made))}. Choose under Groups by.")
            st.rerun()
    for name in attributes.imported_attributes(dataset):
        with st.popover(f"Remove {panels.plain(name)}", icon=":material/delete:", type="tertiary"):
            st.markdown(f"The groups of **{panels.plain(name)}** are forgotten; no run changes.")
            if st.button("Remove", key=f"subgroups-remove-{name}"):
                with panels.errors_shown():
                    attributes.delete_attribute(dataset, name)
                    st.rerun()


def _template(dataset: Dataset) -> bytes:
    return panels.csv_bytes(pd.DataFrame({"image": dataset.names, "group": ""}))
