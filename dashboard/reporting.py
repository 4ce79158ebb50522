"""Compare's report to hand in, clusters of images, and other data sets."""

import io
import zipfile

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, jobs, panels, result_charts
from fer.data.dataset import list_datasets
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.clusters import cluster_images, run_features
from fer.evaluation.report import NotEvaluated
from fer.evaluation.report_export import report_content
from fer.evaluation.report_html import html_report
from fer.evaluation.transfer import transfer_table, usable_split
from fer.runs import Run


def report(runs: list[Run], split: str) -> None:
    """One HTML file with interactive figures, and the tables as CSV and LaTeX."""
    st.write(
        "Everything on these runs in one file that opens anywhere without a network: scores with intervals, "
        "protocol, significance, per class, confusion matrices, curves, the exact commands and "
        "configurations."
    )
    if not st.button("Make the report", type="primary", icon=":material/description:"):
        return
    with st.spinner("Writing the report …"):
        content = report_content([run.directory for run in runs], None, split, compute=False)
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


def clusters(runs: list[Run], split: str) -> None:
    """Groups of images that a network sees alike, with their accuracy."""
    names = {run.id: run.name for run in runs}
    chosen = st.selectbox("Model", list(names), format_func=lambda run_id: names[run_id], key="clusters-run")
    run = next(run for run in runs if run.id == chosen)
    fingerprint = str(run.config.get("dataset"))
    jobs.watch("features", fingerprint)
    try:
        indices, features = run_features(run.directory, None, split, compute=False)
    except NotEvaluated:
        st.info("The features of this model are not computed yet; it takes a minute in the background.")
        st.button(
            "Compute them in the background",
            icon=":material/play_arrow:",
            on_click=jobs.start,
            args=("features", {"dataset": fingerprint, "run": run.id, "split": split}),
        )
        return
    except UserError as error:
        st.warning(panels.plain(error))
        return
    found_by = cached.comparison((run.directory,), split)
    place = {int(index): n for n, index in enumerate(found_by.indices)}
    keep = np.array([n for n, index in enumerate(indices) if int(index) in place])
    positions = np.array([place[int(indices[n])] for n in keep])
    count = st.slider("Clusters", 2, 30, 10)
    found = cluster_images(
        indices[keep], features[keep], found_by.labels[positions], found_by.correct[0][positions], count
    )
    colour = st.segmented_control(
        "Colour", ["expression", "right or wrong"], default="expression", required=True
    )
    groups = (
        found_by.labels[positions] if colour == "expression" else found_by.correct[0][positions].astype(int)
    )
    figure = result_charts.cluster_map(found.points, groups, colour == "expression")
    panels.chart(figure, pd.DataFrame(found.facts), "clusters", "Images by their first two components")
    panels.table(pd.DataFrame(found.facts), "cluster-facts")
    number = st.number_input("Show cluster", 0, count - 1, 0)
    members = found.members(int(number))[:48]
    dataset = found_by.dataset
    shown = found.indices[members]
    right = found_by.correct[0][positions][members]
    panels.faces(
        dataset.images[shown],
        [EMOTIONS[dataset.labels[i]] for i in shown],
        [dataset.names[i] for i in shown],
        ["good" if r else "bad" for r in right],
        size=72,
    )


def other_data(runs: list[Run], split: str) -> None:
    """Every imported data set: accuracy there, and the drop from the run's own."""
    datasets = list_datasets()
    for run in runs:
        own = str(run.config.get("dataset"))
        others = [cached.dataset(info.fingerprint) for info in datasets if info.fingerprint != own]
        st.markdown(f"**{panels.plain(run.name)}**")
        if not others:
            st.info(
                "Import another data set in the same layout (RAF-DB, JAFFE, your own) to see how it "
                "does there."
            )
            continue
        rows = transfer_table(run.directory, others, split)
        frame = pd.DataFrame(rows)
        if "interval" in frame:
            shown = frame["interval"].map(
                lambda v: f"[{v[0]:.3f}, {v[1]:.3f}]" if isinstance(v, list) else ""
            )
            frame["interval"] = shown
        panels.table(frame, f"transfer-{run.id}")
        for row, dataset in zip(rows[-len(others) :], others, strict=True):
            if row.get("reason"):
                config = {
                    "dataset": dataset.fingerprint,
                    "run": run.id,
                    "split": usable_split(dataset, split),
                }
                label = f"Evaluate on {panels.plain(dataset.name)} in the background"
                key = f"transfer-{run.id}-{dataset.fingerprint}"
                st.button(label, key=key, on_click=jobs.start, args=("evaluate", config))
                jobs.watch("evaluate", dataset.fingerprint)
