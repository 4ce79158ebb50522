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


def finish(figure: go.Figure, x: str, y: str, height: int = 340, **layout: object) -> go.Figure:
    """Size, margins, legend above, and the titles of both axes; every figure ends here."""
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
    return finish(figure, "Expression", "Images", barmode="group")


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
    return finish(figure, "Expression", "Weight in the loss (1 = average)", height=300)


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
    return finish(figure, "Grey value (0 black – 255 white)", "Share of pixels (%)")


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
    figure = finish(figure, "Epoch", unit.get(quantity, quantity), height=320)
    figure.update_xaxes(rangemode="tozero", dtick=1 if figure.data and len(figure.data[0].x) <= 12 else None)
    if quantity == "learning_rate":
        figure.update_yaxes(type="log", exponentformat="power")
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
    figure = finish(figure, "Probability (%)", "", height=height)
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
    figure = finish(figure, "Error (mean squared, pixels in [0, 1])", "Images (logarithmic)")
    figure.update_yaxes(type="log")
    return figure


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
    return finish(figure, "Expression (box: quartiles; whiskers: 95 % of the images)", unit)


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
    figure = finish(figure, "First coordinate (no unit)", "Second coordinate (no unit)", height=600)
    figure.update_layout(dragmode="lasso")
    return figure
