"""Compare's report to hand in, clusters of images, and other data sets."""

import io
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, jobs, panels, result_charts
from dashboard.chosen import Chosen
from fer.data.dataset import Dataset, list_datasets
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.report import NotEvaluated
from fer.evaluation.report_export import report_content
from fer.evaluation.report_html import html_report
from fer.evaluation.transfer import transfer_table, usable_split
from fer.runs import Run


def report(chosen: Chosen) -> None:
    """One HTML file with interactive figures, and the tables as CSV and LaTeX."""
    st.write(
        "Everything on these runs in one file that opens anywhere without a network: scores with intervals, "
        "protocol, significance, per class, confusion matrices, curves, the exact commands and "
        "configurations."
    )
    if not st.button("Make the report", type="primary", icon=":material/description:"):
        return
    with st.spinner("Writing the report …"):
        dataset = cached.dataset(chosen.dataset) if chosen.dataset else None
        content = report_content(list(chosen.runs), dataset, chosen.split, compute=False)
        page = html_report(content)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for table in content.tables:
                archive.writestr(f"{table.name}.csv", table.to_csv())
                archive.writestr(f"{table.name}.tex", table.to_latex())
    row = st.container(horizontal=True)
    row.download_button(
        "Report (HTML)", page, "report.html", "text/html", icon=":material/download:", on_click="ignore"
    )
    row.download_button(
        "Tables (CSV and LaTeX)",
        packed.getvalue(),
        "tables.zip",
        "application/zip",
        icon=":material/download:",
        on_click="ignore",
    )
    for text in filter(None, content.commands):
        st.code(text, language="bash", wrap_lines=True)


def clusters(chosen: Chosen) -> None:
    """Groups of images that a network sees alike, with their accuracy."""
    name = st.selectbox("Model", chosen.names, key="clusters-run")
    run = dict(chosen.named)[name]
    fingerprint = chosen.dataset or str(run.config.get("dataset"))
    jobs.watch("features", fingerprint)
    count = st.slider("Clusters", 2, 30, 10)
    try:
        found = cached.clusters(run.directory, chosen.split, fingerprint, count)
    except NotEvaluated:
        st.info("The features of this model are not computed yet; it takes a minute in the background.")
        st.button(
            "Compute them in the background",
            icon=":material/play_arrow:",
            on_click=jobs.start,
            args=("features", {"dataset": fingerprint, "run": run.id, "split": chosen.split}),
        )
        return
    except UserError as error:
        st.warning(panels.plain(error))
        return
    judged = cached.comparison((run.directory,), chosen.split, chosen.dataset or cached.judged_on(run))
    positions = np.searchsorted(judged.indices, found.indices)
    right = judged.correct[0][positions]
    colour = st.segmented_control(
        "Colour", ["expression", "right or wrong"], default="expression", required=True
    )
    groups = judged.labels[positions] if colour == "expression" else right.astype(int)
    figure = result_charts.cluster_map(found.points, groups, colour == "expression")
    panels.chart(figure, pd.DataFrame(found.facts), "clusters", "Images by their first two components")
    shares = {n: st.column_config.NumberColumn(format="percent") for n in ("accuracy", "share")}
    panels.table(pd.DataFrame(found.facts), "cluster-facts", column_config=shares)
    number = st.number_input("Show cluster", 0, count - 1, 0)
    members = found.members(int(number))[:48]
    images = judged.dataset
    shown = found.indices[members]
    panels.faces(
        images.images[shown],
        [EMOTIONS[images.labels[i]] for i in shown],
        [images.names[i] for i in shown],
        ["good" if r else "bad" for r in right[members]],
        size=72,
    )
    panels.note(
        "The answers of the layer before the last one (its **features**), standardised and reduced to 30 "
        "principal components, are divided by **k-means**: images of one cluster look alike to this "
        "network. The map shows the first two components. *share* is that of the most frequent expression."
    )


def other_data(chosen: Chosen) -> None:
    """Every imported data set: accuracy there, and the drop from the run's own."""
    datasets = list_datasets()
    for name, run in chosen.named:
        own = str(run.config.get("dataset"))
        others = [cached.dataset(info.fingerprint) for info in datasets if info.fingerprint != own]
        st.markdown(f"**{panels.plain(name)}**")
        if not others:
            st.info(
                "Import another data set in the same layout (RAF-DB, JAFFE, your own) to see how it "
                "does there."
            )
            continue
        rows = transfer_table(run.directory, others, chosen.split)
        panels.table(_transfer_frame(rows), f"transfer-{run.id}")
        for row, dataset in zip(rows[-len(others) :], others, strict=True):
            if row.get("reason"):
                _evaluate_there(run, dataset, chosen.split)
    for info in datasets:
        jobs.watch("evaluate", info.fingerprint)


def _transfer_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """What `transfer_table` found, in percent and for people."""
    shown = []
    for row in rows:
        line: dict[str, Any] = {"data set": row["name"] or row["dataset"]}
        if "accuracy" in row:
            low, high = row["interval"]
            line |= {"split": row["split"], "images": row["images"], "leaked": row["leaked"]}
            line |= {"accuracy (%)": round(100 * row["accuracy"], 2)}
            line |= {"95 % interval": f"{100 * low:.1f} to {100 * high:.1f}"}
            line |= {"drop (points)": None if row["drop"] is None else round(100 * row["drop"], 2)}
            line |= {"balanced (%)": round(100 * row["balanced_accuracy"], 2)}
            line |= {"macro F1": round(row["macro_f1"], 4)}
        else:
            line["split"] = "not evaluated yet"
        shown.append(line)
    return pd.DataFrame(shown)


def _evaluate_there(run: Run, dataset: Dataset, split: str) -> None:
    config = {"dataset": dataset.fingerprint, "run": run.id, "split": usable_split(dataset, split)}
    st.button(
        f"Evaluate on {panels.plain(dataset.name)} in the background",
        key=f"transfer-{run.id}-{dataset.fingerprint}",
        icon=":material/play_arrow:",
        on_click=jobs.start,
        args=("evaluate", config),
    )
