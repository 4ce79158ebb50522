"""The views of the Explore page; only the chosen one is computed."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, charts, controls, jobs, map_hover, panels, state
from fer.analysis.quality import MEASURES
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.runs import list_runs

UNITS = {
    "brightness": "Mean grey level (0 to 255)",
    "contrast": "Standard deviation of the grey levels",
    "sharpness": "Variance of the Laplacian (low is blurred)",
    "noise": "Estimated noise (grey levels)",
}
BY_CLASS, ALL = "Random of each", "All in pages"
PER_PAGE = 100
MAP = "map"  # key of the chart that `map_hover` listens to


def choose_view() -> str:
    """Which view is shown."""
    return st.segmented_control(
        "View",
        list(VIEWS),
        default="Classes",
        required=True,
        key=state.EXPLORE_VIEW,
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed",
    )


def headline(dataset: Dataset) -> None:
    """Images, splits and missing pixels."""
    numbers = cached.statistics(dataset.fingerprint)
    missing = sum(row["missing"] for row in numbers["pixels"].values())
    counts = numbers["counts"]
    panels.metrics(
        {"Images": f"{len(dataset):,}"}
        | {split.capitalize(): f"{sum(per_class.values()):,}" for split, per_class in counts.items()}
        | {"Missing pixels": (f"{missing:,}", "Pixels that have no value")}
    )


def classes(dataset: Dataset) -> None:
    """Images per class and split, and the balanced weights beside it."""
    numbers = cached.statistics(dataset.fingerprint)
    st.subheader("Images per expression", anchor=False)
    shown = controls.release_or_trained(numbers)
    table = pd.DataFrame(
        [{"split": split, **per_class, "all": sum(per_class.values())} for split, per_class in shown.items()]
    )
    panels.chart(charts.class_distribution(shown), table, "class-distribution", "Images per class and split")
    weights = {emotion: weight for emotion, weight in numbers["class_weights"].items() if weight}
    st.subheader("Balanced class weights", anchor=False)
    panels.chart(
        charts.class_weights(weights),
        pd.DataFrame({"expression": list(weights), "weight": list(weights.values())}),
        "class-weights",
        "Balanced weight of each class",
    )
    panels.note(
        "A balanced weight makes every class count the same in the loss: "
        r"$w_c = N / (7 \cdot n_c)$, with $n_c$ of the $N$ training images in class $c$, "
        "counted on the 80 % of the training split that remain after validation images are set aside. "
        "Rare classes weigh more; above about 5 training usually gets unstable."
    )


def samples(dataset: Dataset) -> None:
    """Faces filtered by split, class and quality: random ones of each class, or all of them in pages."""
    counts = dataset.counts()
    grid = st.grid(4, min_column_width=170, vertical_alignment="bottom")
    with grid.cell():
        split = controls.split_choice(list(counts))
    with grid.cell():
        way = st.segmented_control(
            "Show", [BY_CLASS, ALL], default=BY_CLASS, required=True, key=state.SAMPLES, bind="query-params"
        )
    if way == BY_CLASS:
        number = grid.slider("Faces per expression", 4, 48, 8)
        with grid.cell():
            controls.reshuffle()
    wanted = st.pills(
        "Expressions", EMOTIONS, selection_mode="multi", key=state.EMOTIONS, bind="query-params"
    )
    mask = _quality_filter(dataset)
    indices = dataset.indices(split)
    indices = indices[mask[indices]]
    if wanted:
        indices = indices[np.isin(dataset.labels[indices], [EMOTIONS.index(name) for name in wanted])]
    if way == ALL:
        _pages(dataset, indices)
        return
    generator = np.random.default_rng(st.session_state.get(state.SAMPLE, 0))
    for label, emotion in enumerate(EMOTIONS):
        if wanted and emotion not in wanted:
            continue
        of_class = indices[dataset.labels[indices] == label]
        chosen = np.sort(generator.permutation(of_class)[:number])
        st.markdown(f"**{emotion}** · {len(of_class):,} images")
        if len(chosen):
            titles = [dataset.names[i] for i in chosen]
            panels.faces(dataset.images[chosen], titles=titles, size=72, name=f"samples-{emotion}")
        else:
            st.caption(f"No {emotion} face fits.")


@st.fragment
def _pages(dataset: Dataset, indices: np.ndarray) -> None:
    """All these faces in file order, a hundred a page; turning a page runs nothing else."""
    if not len(indices):
        st.info("No face fits.")
        return
    pages = -(-len(indices) // PER_PAGE)
    page = st.pagination(pages, key=f"samples-page-{len(indices)}-{indices[0]}")
    shown = indices[(page - 1) * PER_PAGE : page * PER_PAGE]
    st.caption(f"{len(indices):,} images, {len(shown)} on this page")
    titles = [f"{dataset.names[i]} (number {i})" for i in shown]
    panels.faces(
        dataset.images[shown], [EMOTIONS[dataset.labels[i]] for i in shown], titles, size=72, name="faces"
    )


def _quality_filter(dataset: Dataset) -> np.ndarray:
    """(N,) bool by sliders over percentiles of brightness, contrast, sharpness and noise."""
    mask = np.ones(len(dataset), dtype=bool)
    with st.expander("Filter by brightness, contrast, blur and noise", icon=":material/filter_alt:"):
        if not st.toggle("Filter", key="quality-filter"):
            return mask
        measured = cached.quality(dataset.fingerprint)
        grid = st.grid(4, min_column_width=180)
        for name in MEASURES:
            low, high = grid.slider(
                f"{name.capitalize()} (percentiles)", 0, 100, (0, 100), key=f"filter-{name}", help=UNITS[name]
            )
            bounds = np.percentile(measured[name], [low, high])
            mask &= (measured[name] >= bounds[0]) & (measured[name] <= bounds[1])
        st.caption(f"{int(mask.sum()):,} of {len(mask):,} images fit.")
    return mask


def pixels(dataset: Dataset) -> None:
    """Histogram of grey values per split and the statistics of pixels / 255."""
    numbers = cached.statistics(dataset.fingerprint)
    st.subheader("Grey values", anchor=False)
    histograms = numbers["histogram"]
    panels.chart(
        charts.pixel_histogram(histograms),
        pd.DataFrame({"grey value": np.arange(256)} | {f"{s} pixels": h for s, h in histograms.items()}),
        "pixel-histogram",
        "Share of pixels at each grey value by split",
    )
    st.subheader("Statistics of pixels divided by 255", anchor=False)
    released, trained = numbers["pixels"], numbers["split_80_20"]["pixels"]
    rows = [
        {"split": name} | {key: row[key] for key in ("mean", "std", "min", "max", "pixels", "missing")}
        for name, row in [
            *released.items(),
            *((f"{s} of 80/20", r) for s, r in trained.items() if s != "test"),
        ]
    ]
    panels.table(
        pd.DataFrame(rows),
        "pixel-statistics",
        column_config={
            "mean": st.column_config.NumberColumn(format="%.4f"),
            "std": st.column_config.NumberColumn(format="%.4f"),
            "pixels": st.column_config.NumberColumn(format="localized"),
        },
    )
    panels.note(
        "Every pixel is an 8-bit grey value, 0 black to 255 white. Mean and standard deviation are of "
        r"$x/255$ over all pixels of a split: $\mu=\frac1n\sum x_i$, "
        r"$\sigma=\sqrt{\frac1n\sum (x_i-\mu)^2}$. "
        "The untouched FER-2013 release has mean 0.5077 and standard deviation 0.2551 over train; copies "
        "found elsewhere are often blurred or equalised and differ. Spikes at 0 and 255 are borders and "
        "saturated light."
    )


def mean_faces(dataset: Dataset) -> None:
    """Mean and variation of each class."""
    st.write("The average training face of each expression, and where the faces of that class vary.")
    average, spread, names = cached.class_faces(dataset.fingerprint)
    panels.faces(average, [f"{name}\nmean" for name in names], size=110, name="mean-faces")
    panels.faces(spread, [f"{name}\nvariation" for name in names], size=110, name="variation-faces")
    panels.note(
        r"Mean: $\bar x=\frac1n\sum x_i$ over the class's training images, pixel by pixel. Variation: the "
        r"standard deviation $\sqrt{\frac1n\sum (x_i-\bar x)^2}$ of each pixel, stretched from black (least) "
        "to white (largest) so that its pattern can be seen."
    )


def quality(dataset: Dataset) -> None:
    """Distributions of brightness, contrast, sharpness and noise by class, and the extremes."""
    measured = cached.quality(dataset.fingerprint)
    name = st.segmented_control(
        "Measure", MEASURES, default=MEASURES[0], required=True, key=state.QUALITY, bind="query-params"
    )
    values = measured[name]
    by_class = {e: values[dataset.labels == n] for n, e in enumerate(EMOTIONS) if (dataset.labels == n).any()}
    summary = pd.DataFrame(
        [
            {"expression": e, "mean": v.mean(), "median": np.median(v), "std": v.std(), "images": len(v)}
            for e, v in by_class.items()
        ]
    )
    decimals = {key: st.column_config.NumberColumn(format="%.2f") for key in ("mean", "median", "std")}
    panels.chart(
        charts.quality_boxes(by_class, UNITS[name]), summary, f"quality-{name}", f"{name} of each class"
    )
    panels.table(summary, f"quality-table-{name}", column_config=decimals)
    order = np.argsort(values, kind="stable")
    for title, chosen in (("Lowest", order[:12]), ("Highest", order[::-1][:12])):
        st.markdown(f"**{title} {name}**")
        captions = [f"{EMOTIONS[dataset.labels[i]]}\n{values[i]:.1f}" for i in chosen]
        panels.faces(dataset.images[chosen], captions, [dataset.names[i] for i in chosen], size=84)
    panels.note(
        "**Brightness** is the mean grey level, **contrast** the standard deviation, **sharpness** the "
        "variance "
        "of the Laplacian (Pech-Pacheco et al. 2000), **noise** the standard deviation of additive noise "
        "estimated from second derivatives (Immerkær 1996)."
    )


def image_map(dataset: Dataset) -> None:
    """A 2-D map of the images; hovering shows the face, lassoed points open as a grid of faces."""
    from fer.analysis.embedding import load_embedding, stored_embeddings

    jobs.watch("embedding", dataset.fingerprint)
    known = stored_embeddings(dataset)
    if not known:
        st.info("There is no map of this data set yet. It takes a minute or two in the background.")
        _draw_map(dataset)
        return
    names = {run.id: run.name for run in list_runs()}
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    source, limit = left.selectbox(
        "Map of",
        known,
        format_func=lambda item: f"{names.get(item[0], item[0])} (up to {item[1]:,} images)",
        key="map-source",
    )
    with right.popover("Draw another", icon=":material/map:"):
        _draw_map(dataset)
    found = load_embedding(dataset, source, limit)
    if found is None:
        return
    labels = dataset.labels[found.indices]
    chosen = st.plotly_chart(
        charts.embedding(found.points, labels, found.indices),
        key=MAP,
        on_select="rerun",
        selection_mode=("lasso", "box", "points"),
        config={
            "displaylogo": False,
            "scrollZoom": True,
            "toImageButtonOptions": {"filename": "map", "scale": 2},
        },
        alt="Map of the images, similar faces near each other, coloured by expression",
    )
    map_hover.faces(cached.map_faces(dataset.fingerprint, source, limit, MAP), key="map-faces")
    picked = [int(point["customdata"][0]) for point in chosen.selection.points if point.get("customdata")]
    if not picked:
        st.caption("Point at an image to see the face. Draw around points with the lasso to see all of them.")
    else:
        page = st.pagination(-(-len(picked) // PER_PAGE), key=f"map-page-{len(picked)}-{picked[0]}")
        shown = np.array(picked[(page - 1) * PER_PAGE : page * PER_PAGE])
        st.caption(f"{len(picked):,} chosen, {len(shown)} on this page.")
        captions = [f"{EMOTIONS[dataset.labels[i]]}\n#{i}" for i in shown]
        titles = [dataset.names[i] for i in shown]
        panels.faces(dataset.images[shown], captions, titles, size=72, name="map-chosen")
    with st.popover("Numbers", icon=":material/table:", type="tertiary"):
        panels.table(
            pd.DataFrame(
                {
                    "image": [dataset.names[i] for i in found.indices],
                    "expression": [EMOTIONS[label] for label in labels],
                    "first": found.points[:, 0],
                    "second": found.points[:, 1],
                }
            ),
            "map",
        )
    panels.note(
        "t-SNE (van der Maaten and Hinton 2008) places images so that neighbours on the map were "
        "neighbours in the features: 50 principal components of the pixels, or of a network's penultimate "
        r"layer. It minimises $\sum_{ij} p_{ij}\log(p_{ij}/q_{ij})$ between the neighbourhoods $p$ in the "
        r"features and $q_{ij}\propto(1+\|y_i-y_j\|^2)^{-1}$ on the map. Distances between far groups mean "
        "little."
    )


def _draw_map(dataset: Dataset) -> None:
    """Start a map in the background: of the pixels, or of a run's features."""
    from fer.analysis.embedding import DEFAULT_LIMIT, LARGEST_LIMIT

    runs = [run for run in list_runs() if run.kind == "train" and (run.directory / "best.keras").exists()]
    names = {"": "pixels", **{run.id: f"features of {run.name}" for run in runs}}
    source = st.selectbox("Neighbours by", list(names), format_func=names.__getitem__, key="map-run")
    most = min(LARGEST_LIMIT, max(len(dataset), 50))
    limit = st.number_input("Images, at most", 50, most, min(DEFAULT_LIMIT, most), key="map-limit")
    config: dict[str, object] = {"dataset": dataset.fingerprint, "limit": int(limit)}
    st.button(
        "Draw the map in the background",
        type="primary",
        icon=":material/map:",
        on_click=jobs.start,
        args=("embedding", config | ({"run": source} if source else {})),
    )


VIEWS: dict[str, Callable[[Dataset], None]] = {
    "Classes": classes,
    "Samples": samples,
    "Pixels": pixels,
    "Mean faces": mean_faces,
    "Quality": quality,
    "Map": image_map,
}
