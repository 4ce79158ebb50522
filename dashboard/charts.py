"""Data in, plotly Figure out; no streamlit, no computation a test would want to call.

Every axis names its quantity and unit; every class keeps its colour from `fer.emotions.COLOURS`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer.emotions import COLOURS, EMOTIONS

SERIES = ("#3B5BDB", "#E8590C", "#2B8A3E", "#9C36B5", "#0C8599", "#C2255C", "#F08C00", "#5C5F66")
SPLIT_COLOURS = {"train": SERIES[0], "validation": SERIES[4], "test": SERIES[1]}


def _finish(figure: go.Figure, x: str, y: str, height: int = 340, **layout: object) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        **layout,
    )
    if not any(trace.name and trace.showlegend is not False for trace in figure.data):
        figure.update_layout(margin_t=16)
    figure.update_xaxes(title=x, automargin=True)
    figure.update_yaxes(title=y, automargin=True)
    return figure


def class_distribution(counts: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """`{split: {class: images}}` as grouped bars."""
    figure = go.Figure()
    for split, per_class in counts.items():
        figure.add_bar(
            name=split,
            x=list(per_class),
            y=list(per_class.values()),
            text=[f"{n:,}" for n in per_class.values()],
            textposition="outside",
            marker_color=SPLIT_COLOURS.get(split),
            hovertemplate=f"%{{x}}, {split}: %{{y:,}} images<extra></extra>",
        )
    return _finish(figure, "Expression", "Images", barmode="group")


def class_weights(weights: Mapping[str, float]) -> go.Figure:
    """Weight of each class in the loss."""
    figure = go.Figure(
        go.Bar(
            x=list(weights),
            y=list(weights.values()),
            text=[f"{w:.4f}" for w in weights.values()],
            textposition="outside",
            marker_color=[COLOURS[name] for name in weights],
            hovertemplate="%{x}: weight %{y:.4f}<extra></extra>",
        )
    )
    return _finish(figure, "Expression", "Weight in the loss (1 = average)", height=300)


def pixel_histogram(histograms: Mapping[str, Sequence[int]]) -> go.Figure:
    """`{split: 256 counts}` as the share of pixels at each grey value."""
    figure = go.Figure()
    for split, counts in histograms.items():
        values = np.asarray(counts, dtype=float)
        figure.add_scatter(
            name=split,
            x=np.arange(256),
            y=100 * values / max(values.sum(), 1),
            mode="lines",
            line={"color": SPLIT_COLOURS.get(split), "shape": "hvh"},
            hovertemplate=f"grey value %{{x}}, {split}: %{{y:.3f}} % of pixels<extra></extra>",
        )
    return _finish(figure, "Grey value (0 black – 255 white)", "Share of pixels (%)")


def curves(
    histories: Mapping[str, pd.DataFrame],
    quantity: str,
    smoothing: float = 0.0,
    chosen: Mapping[str, int] | None = None,
) -> go.Figure:
    """Training (thin) and validation (thick) curves of one or more runs.

    Args:
        histories: run name → frame with `epoch`, the quantity and `val_<quantity>`.
        quantity: `loss`, `accuracy` or `learning_rate`.
        smoothing: weight of the past in an exponential moving average, 0 ≤ s < 1.
        chosen: run name → epoch (from 1) of the checkpoint that was kept.
    """
    unit = {
        "accuracy": "Accuracy (%)",
        "loss": "Loss",
        "learning_rate": "Learning rate",
    }
    factor = 100 if quantity == "accuracy" else 1
    figure = go.Figure()
    for n, (run, frame) in enumerate(histories.items()):
        colour = SERIES[n % len(SERIES)]
        epochs = frame["epoch"]
        for column, width, dash, label in (
            (quantity, 1.5, "dot", "training"),
            (f"val_{quantity}", 2.5, "solid", "validation"),
        ):
            if column not in frame:
                continue
            values = frame[column] * factor
            if smoothing:
                values = values.ewm(alpha=1 - smoothing).mean()
            name = label if len(histories) == 1 else f"{run} · {label}"
            figure.add_scatter(
                name=name,
                x=epochs,
                y=values,
                mode="lines+markers" if len(frame) < 3 else "lines",
                line={"color": colour, "width": width, "dash": dash},
                hovertemplate=f"{name}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
            )
        if chosen and run in chosen and f"val_{quantity}" in frame:
            kept = frame[frame["epoch"] == chosen[run]]
            figure.add_scatter(
                x=kept["epoch"],
                y=kept[f"val_{quantity}"] * factor,
                mode="markers",
                marker={"color": colour, "size": 11, "symbol": "star"},
                name="kept checkpoint" if len(histories) == 1 else f"{run} · kept",
                showlegend=len(histories) == 1,
                hovertemplate="kept checkpoint, epoch %{x}: %{y:.4g}<extra></extra>",
            )
    figure = _finish(figure, "Epoch", unit.get(quantity, quantity), height=320)
    figure.update_xaxes(rangemode="tozero", dtick=1 if figure.data and len(figure.data[0].x) <= 12 else None)
    if quantity == "learning_rate":
        figure.update_yaxes(type="log", exponentformat="power")
    return figure


def confusion(matrix: np.ndarray, normalised: bool, highest: float | None = None) -> go.Figure:
    """(7, 7) counts, true classes in rows, as a heat map of counts or of shares of each row.

    Args:
        matrix: counts.
        normalised: show each row as percentages of its true class.
        highest: top of the colour scale, so that several matrices share one.
    """
    counts = np.asarray(matrix, dtype=float)
    rows = counts.sum(axis=1, keepdims=True)
    share = 100 * np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    shown = share if normalised else counts
    text = [[f"{v:.0f}" for v in row] for row in shown]
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            x=list(EMOTIONS),
            y=list(EMOTIONS),
            text=text,
            texttemplate="%{text}",
            customdata=np.dstack([counts, share]),
            colorscale="Blues",
            zmin=0,
            zmax=highest or (100 if normalised else None),
            showscale=False,
            hovertemplate="true %{y}, predicted %{x}: %{customdata[0]:,.0f} images, "
            "%{customdata[1]:.1f} % of the true class<extra></extra>",
        )
    )
    figure = _finish(figure, "Predicted", "True", height=420)
    figure.update_yaxes(autorange="reversed")
    return figure


def per_class(reports: Mapping[str, Mapping[str, Mapping[str, float]]], measure: str) -> go.Figure:
    """`{run: {class: {precision, recall, f1, support}}}` as grouped bars of one measure in percent."""
    figure = go.Figure()
    for n, (run, table) in enumerate(reports.items()):
        figure.add_bar(
            name=run,
            x=list(table),
            y=[100 * row[measure] for row in table.values()],
            marker_color=SERIES[n % len(SERIES)],
            customdata=[row["support"] for row in table.values()],
            hovertemplate=f"{run}, %{{x}}: {measure} %{{y:.1f}} % of %{{customdata:,}} images<extra></extra>",
        )
    figure = _finish(
        figure, "Expression", f"{measure.capitalize() if measure != 'f1' else 'F1'} (%)", barmode="group"
    )
    figure.update_yaxes(range=[0, 100])
    return figure


def probabilities(values: Mapping[str, float], marked: str | None = None, height: int = 260) -> go.Figure:
    """Seven probabilities as horizontal bars, the most probable on top; `marked` is the true class."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    figure = go.Figure(
        go.Bar(
            y=[f"{name} ✓" if name == marked else name for name, _ in ordered],
            x=[100 * value for _, value in ordered],
            orientation="h",
            marker_color=[COLOURS[name] for name, _ in ordered],
            text=[f"{100 * value:.1f} %" for _, value in ordered],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.2f} %<extra></extra>",
        )
    )
    figure = _finish(figure, "Probability (%)", "", height=height)
    figure.update_xaxes(range=[0, 128], tickvals=[0, 25, 50, 75, 100])
    return figure


def error_histogram(counts: np.ndarray, edges: np.ndarray, threshold: float) -> go.Figure:
    """Images by error as bars, those above the threshold in red, on a logarithmic count."""
    centres = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure(
        go.Bar(
            x=centres,
            y=counts,
            width=np.diff(edges),
            marker={"color": np.where(centres > threshold, "#e03131", SERIES[0]), "line": {"width": 0}},
            hovertemplate="error %{x:.4f}: %{y:,} images<extra></extra>",
        )
    )
    figure.add_vline(x=threshold, line_dash="dash", annotation_text=f"threshold {threshold:.4f}")
    figure = _finish(figure, "Error (mean squared, pixels in [0, 1])", "Images (logarithmic)")
    figure.update_yaxes(type="log")
    return figure


def recall_spread(recalls: Mapping[str, Sequence[float]]) -> go.Figure:
    """Recall of every class as points, one row a run: how evenly a run treats the classes."""
    figure = go.Figure()
    for n, (run, values) in enumerate(recalls.items()):
        figure.add_scatter(
            x=[100 * value for value in values],
            y=[run] * len(values),
            mode="markers",
            marker={"size": 12, "color": [COLOURS[e] for e in EMOTIONS[: len(values)]]},
            text=list(EMOTIONS[: len(values)]),
            hovertemplate="%{text}: recall %{x:.1f} %<extra></extra>",
            showlegend=False,
            name=f"recalls {n}",
        )
    figure = _finish(figure, "Recall (%)", "Run", height=140 + 44 * len(recalls))
    figure.update_xaxes(range=[-2, 102])
    return figure


def confusion_difference(matrix: np.ndarray, normalised: bool) -> go.Figure:
    """(7, 7) difference of two confusion matrices on a scale that is centred at 0."""
    shown = 100 * matrix if normalised else matrix
    bound = float(np.abs(shown).max()) or 1.0
    unit = "points" if normalised else "images"
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            x=list(EMOTIONS),
            y=list(EMOTIONS),
            text=[[f"{v:+.0f}" for v in row] for row in shown],
            texttemplate="%{text}",
            colorscale="RdBu",
            zmin=-bound,
            zmax=bound,
            showscale=False,
            hovertemplate=f"true %{{y}}, predicted %{{x}}: %{{z:+.1f}} {unit}<extra></extra>",
        )
    )
    figure = _finish(figure, f"Predicted (difference in {unit})", "True", height=420)
    figure.update_yaxes(autorange="reversed")
    return figure


def reliability(diagrams: Mapping[str, object]) -> go.Figure:
    """Accuracy against confidence in bins, one line a run; the diagonal is perfect calibration."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line={"dash": "dot", "color": "#868e96"}, name="perfect"
    )
    for n, (run, diagram) in enumerate(diagrams.items()):
        pairs = zip(diagram.confidence, diagram.accuracy, diagram.images, strict=True)  # type: ignore[attr-defined]
        points = [(100 * c, 100 * a, m) for c, a, m in pairs if c is not None and m]
        figure.add_scatter(
            x=[p[0] for p in points],
            y=[p[1] for p in points],
            customdata=[p[2] for p in points],
            mode="lines+markers",
            name=run,
            line={"color": SERIES[n % len(SERIES)]},
            hovertemplate="says %{x:.0f} %, right in %{y:.0f} % of %{customdata:,}<extra></extra>",
        )
    figure = _finish(figure, "Confidence (%)", "Accuracy (%)", height=360)
    figure.update_xaxes(range=[0, 100])
    figure.update_yaxes(range=[0, 100])
    return figure


def roc(lines: Mapping[str, Mapping[str, Sequence[float]]]) -> go.Figure:
    """True against false positive rate of one class, one line a run."""
    figure = go.Figure()
    for n, (run, line) in enumerate(lines.items()):
        figure.add_scatter(
            x=100 * np.asarray(line["false_positive_rate"]),
            y=100 * np.asarray(line["true_positive_rate"]),
            mode="lines",
            name=f"{run} ({line['auc']:.3f})",
            line={"color": SERIES[n % len(SERIES)]},
        )
    return _finish(figure, "False positive rate (%)", "True positive rate (%)", height=340)


def precision_recall(lines: Mapping[str, Mapping[str, Sequence[float]]]) -> go.Figure:
    """Precision against recall of one class, one line a run."""
    figure = go.Figure()
    for n, (run, line) in enumerate(lines.items()):
        figure.add_scatter(
            x=100 * np.asarray(line["recall"]),
            y=100 * np.asarray(line["precision"]),
            mode="lines",
            name=f"{run} ({line['average_precision']:.3f})",
            line={"color": SERIES[n % len(SERIES)]},
        )
    figure = _finish(figure, "Recall (%)", "Precision (%)", height=340)
    figure.update_yaxes(range=[0, 102])
    return figure


def accuracy_by(bins: Sequence[Mapping[str, float]], measure: str) -> go.Figure:
    """Accuracy with its 95 % interval in bins of equally many images."""
    accuracy = np.array([100 * b["accuracy"] for b in bins])
    bounds = np.array([[100 * x for x in b["interval"]] for b in bins])  # type: ignore[attr-defined]
    figure = go.Figure(
        go.Scatter(
            x=[b["mean"] for b in bins],
            y=accuracy,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": bounds[:, 1] - accuracy,
                "arrayminus": accuracy - bounds[:, 0],
            },
            mode="lines+markers",
            line={"color": SERIES[0]},
            showlegend=False,
            hovertemplate=f"{measure} %{{x:.1f}}: %{{y:.1f}} % right<extra></extra>",
        )
    )
    return _finish(figure, f"{measure.capitalize()} (mean of each tenth of the images)", "Accuracy (%)")


def dimensions(values: np.ndarray, name: str) -> go.Figure:
    """Mean activation of every embedding dimension of a transformer block (study C)."""
    figure = go.Figure(go.Bar(x=np.arange(len(values)), y=values, marker_color=SERIES[0]))
    return _finish(figure, f"Dimension of {name}", "Mean activation over the patches", height=260)


def quality_boxes(values: Mapping[str, np.ndarray], unit: str) -> go.Figure:
    """Quartiles and 1.5-times whiskers of a measure for every class, computed here, not in the browser."""
    figure = go.Figure()
    for emotion, of_class in values.items():
        low, first, middle, third, high = np.percentile(of_class, [2.5, 25, 50, 75, 97.5])
        figure.add_box(
            name=emotion,
            x=[emotion],
            lowerfence=[low],
            q1=[first],
            median=[middle],
            q3=[third],
            upperfence=[high],
            mean=[float(of_class.mean())],
            marker_color=COLOURS[emotion],
            showlegend=False,
        )
    return _finish(figure, "Expression (box: quartiles; whiskers: 95 % of the images)", unit)


def embedding(points: np.ndarray, labels: np.ndarray, indices: np.ndarray) -> go.Figure:
    """A map of images, one point each in the colour of its class; `customdata` holds the index."""
    figure = go.Figure()
    for number, emotion in enumerate(EMOTIONS):
        mine = labels == number
        figure.add_scattergl(
            x=points[mine, 0],
            y=points[mine, 1],
            mode="markers",
            name=emotion,
            marker={"size": 4, "color": COLOURS[emotion], "opacity": 0.7},
            customdata=indices[mine][:, None],
            hovertemplate=f"{emotion}, image %{{customdata[0]}}<extra></extra>",
        )
    figure = _finish(figure, "First coordinate (no unit)", "Second coordinate (no unit)", height=600)
    figure.update_layout(dragmode="lasso")
    return figure


def cluster_map(points: np.ndarray, groups: np.ndarray, by_class: bool) -> go.Figure:
    """(N, 2) points coloured by class, or by wrong (0) and right (1)."""
    named = [(n, e, COLOURS[e]) for n, e in enumerate(EMOTIONS)]
    named = named if by_class else [(0, "wrong", "#e03131"), (1, "right", "#2b8a3e")]
    figure = go.Figure()
    for number, name, colour in named:
        mine = groups == number
        figure.add_scattergl(
            x=points[mine, 0],
            y=points[mine, 1],
            mode="markers",
            name=name,
            marker={"size": 4, "color": colour, "opacity": 0.6},
            hovertemplate=f"{name}<extra></extra>",
        )
    return _finish(figure, "First component of the features", "Second component", height=460)
