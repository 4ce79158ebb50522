"""The parts of the Outliers page; moving the slider computes one percentile and nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, charts, jobs, panels, selecting, state
from fer.analysis import outliers
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS

PAGE = 24  # faces a page: each with its reconstruction and error map
AXES = {
    "autoencoder": "Error (mean squared, pixels in [0, 1])",
    "code distance": "Distance of the code (standard deviations)",
    "pca": "Error (mean squared, pixels in [0, 1])",
    "isolation forest": "Anomaly score (0 to 1)",
}
# Keys for np.lexsort: the last one decides first.
ORDERS: dict[str, Callable[[Dataset, outliers.Scores, np.ndarray], tuple[np.ndarray, ...]]] = {
    "highest error first": lambda dataset, scores, found: (found, -scores.errors[found]),
    "lowest error first": lambda dataset, scores, found: (found, scores.errors[found]),
    "expression": lambda dataset, scores, found: (-scores.errors[found], dataset.labels[found]),
    "order of the files": lambda dataset, scores, found: (found,),
}


def choose_scores(dataset: Dataset) -> outliers.Scores | None:
    """Stored scores of the chosen detector; offers to fit the detectors when there are none."""
    known = [d for d in outliers.DETECTORS if cached.outlier_scores(dataset.fingerprint, d) is not None]
    if not known:
        st.info(
            "The detectors have not seen this data set yet. Fitting the autoencoder of study A takes a few "
            "minutes for 28,709 images on two cores; you can go on working meanwhile.",
            icon=":material/hourglass:",
        )
        st.button(
            "Fit the detectors",
            type="primary",
            icon=":material/play_arrow:",
            on_click=jobs.start,
            args=("outliers", {"dataset": dataset.fingerprint}),
        )
        return None
    chosen = st.segmented_control(
        "Detector",
        known,
        default=known[0],
        required=True,
        key=state.DETECTOR,
        bind="query-params",
        persist_state="session",
    )
    return cached.outlier_scores(dataset.fingerprint, chosen)


def threshold(dataset: Dataset, scores: outliers.Scores) -> outliers.Flagged:
    """The percentile slider and what it flags."""
    percentile = st.slider(
        "Percentile of the training errors",
        outliers.LOWEST_PERCENTILE,
        outliers.HIGHEST_PERCENTILE,
        outliers.DEFAULT_PERCENTILE,
        0.1,
        key=state.PERCENTILE,
        bind="query-params",
        persist_state="session",
        help="Images above it are flagged; the study used 98.",
    )
    flagged = outliers.flag(dataset, scores, percentile)
    total = len(flagged.flagged) + len(flagged.kept)
    panels.metrics(
        {
            "Threshold": (f"{flagged.threshold:.5f}", "Error above which an image is flagged"),
            "Flagged": f"{len(flagged.flagged):,}",
            "Kept": f"{len(flagged.kept):,}",
            "Share flagged": f"{100 * len(flagged.flagged) / max(total, 1):.2f} %",
        }
    )
    return flagged


def distribution(dataset: Dataset, scores: outliers.Scores, flagged: outliers.Flagged) -> None:
    """Histogram of the errors with the threshold, and the share of each class that is flagged."""
    train = np.concatenate([flagged.flagged, flagged.kept])
    counts, edges = np.histogram(scores.errors[train], bins=120)
    figure = charts.error_histogram(counts, edges, flagged.threshold)
    figure.update_xaxes(title=AXES[scores.detector])
    panels.chart(
        figure,
        pd.DataFrame({"error from": edges[:-1], "error to": edges[1:], "images": counts}),
        "outlier-errors",
        "Histogram of the training errors with the threshold",
    )
    rows = [
        {"expression": e, "flagged": n, "of": of, "share (%)": 100 * n / of if of else None}
        for e, (n, of) in flagged.per_class.items()
    ]
    share = st.column_config.NumberColumn(format="%.2f")
    panels.table(pd.DataFrame(rows), "outliers-per-class", column_config={"share (%)": share})
    panels.note(
        r"**Autoencoder** (study A, 75,425 parameters): it learns to draw a face from a small code; what it "
        r"draws badly is unlike the other faces. Error: $\frac1{2304}\sum (x_i-\hat x_i)^2$ over the "
        r"pixels in "
        "[0, 1]. **Code distance**: how unusual the same network's code is, the Mahalanobis distance "
        r"$\sqrt{(z-\mu)^\top\Sigma^{-1}(z-\mu)}$ of the means and deviations $z$ of its 32 channels "
        "(Denouden et al. 2018); it also finds covered faces, which are redrawn well. **PCA**: the error of "
        "the best linear reconstruction from 64 components. **Isolation forest** (Liu et al. 2008): how "
        "few random cuts separate an image from the others. Images are "
        "scored "
        "un-augmented and in file order. A high error is strange, not wrong: look before you drop."
    )


def faces(dataset: Dataset, scores: outliers.Scores, flagged: outliers.Flagged) -> None:
    """Flagged faces against kept ones, sorted and paged, each as original, reconstruction and error map."""
    grid = st.grid(4, min_column_width=170, vertical_alignment="bottom")
    with grid.cell():
        which = st.segmented_control(
            "Show", ["Flagged", "Kept", "Both"], default="Flagged", required=True, key="outlier-which"
        )
    emotion = grid.selectbox("Expression", ["all", *EMOTIONS], key="outlier-class")
    order = grid.selectbox("Sorted by", list(ORDERS), key="outlier-order")
    with grid.cell():
        name = selecting.choose(dataset)
    sets = {"Flagged": flagged.flagged, "Kept": flagged.kept}
    chosen = {title: sets[title] for title in (sets if which == "Both" else [which])}
    chosen = {title: _sorted(dataset, scores, found, emotion, order) for title, found in chosen.items()}
    longest = max(map(len, chosen.values()))
    if not longest:
        st.info("No such image.")
        return
    size = PAGE // len(chosen)
    page = st.pagination(-(-longest // size), key=f"outlier-page-{which}-{emotion}-{order}")
    for title, column in zip(
        chosen, st.columns(len(chosen)) if len(chosen) > 1 else [st.container()], strict=True
    ):
        with column:
            shown = chosen[title][(page - 1) * size : page * size]
            st.caption(f"{title}: {len(chosen[title]):,} images, {len(shown)} on this page")
            _triples(
                dataset,
                scores,
                shown,
                selecting.decisions(dataset, name),
                title,
                9 if len(chosen) == 1 else 6,
            )
    if which != "Both":
        selecting.marks(
            dataset,
            name,
            list(chosen[which][(page - 1) * size : page * size]),
            chosen[which],
            f"outliers-{which}-{emotion}-{order}-{page}",
            f"{scores.detector}: {which.lower()} at the {flagged.percentile:g}th percentile",
        )
    selecting.summary(dataset, name)


def _sorted(
    dataset: Dataset, scores: outliers.Scores, indices: np.ndarray, emotion: str, order: str
) -> np.ndarray:
    """`indices` of one class, or of all, in one of `ORDERS`."""
    if emotion != "all":
        indices = indices[dataset.labels[indices] == EMOTIONS.index(emotion)]
    return indices[np.lexsort(ORDERS[order](dataset, scores, indices))]


def _triples(
    dataset: Dataset,
    scores: outliers.Scores,
    shown: np.ndarray,
    decided: dict[int, Any],
    title: str,
    columns: int,
) -> None:
    """Original, reconstruction and error map of each image; the original alone without a reconstruction."""
    made = outliers.reconstructions(dataset) if scores.detector in outliers.RECONSTRUCTED else None
    cells: list[np.ndarray] = []
    captions: list[str] = []
    for number, index in enumerate(shown, 1):
        label = EMOTIONS[dataset.labels[index]]
        cells.append(dataset.images[index])
        captions.append(
            f"{number}. {label}\n{scores.errors[index]:.4f} {selecting.caption(decided.get(int(index)))}"
        )
        if made is not None:
            error = outliers.error_map(dataset.images[index], made[index])
            cells += [made[index], (255 * np.clip(4 * error, 0, 1)).astype(np.uint8)]
            captions += ["rebuilt", "error × 4"]
    panels.faces(cells, captions, columns=columns, name=f"outliers-{title.lower()}")


def agreement(dataset: Dataset, percentile: float) -> None:
    """How many images each pair of detectors flags together, and facts about each."""
    table: dict[str, Any] = outliers.overlap(dataset, percentile)
    rows = [{"detector": a, **{b: row.get(b) for b in table}} for a, row in table.items()]
    st.write("Images that both detectors flag; the diagonal is what each flags itself.")
    panels.table(pd.DataFrame(rows), "outlier-overlap")
    facts = []
    for detector in table:
        scores = cached.outlier_scores(dataset.fingerprint, detector)
        if scores is not None:
            facts.append({"detector": detector, **{k: str(v) for k, v in scores.facts.items()}})
    panels.table(pd.DataFrame(facts), "outlier-detectors")
    st.button(
        "Fit the detectors again",
        icon=":material/replay:",
        on_click=jobs.start,
        args=("outliers", {"dataset": dataset.fingerprint}),
    )
