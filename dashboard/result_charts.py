"""Figures of trained models: data in, plotly Figure out, as in `dashboard.charts`."""

import html
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts import SERIES, finish
from fer.ablations import BASE
from fer.emotions import COLOURS, EMOTIONS


def confusion(
    matrix: np.ndarray,
    normalised: bool,
    highest: float | None = None,
    chosen: tuple[str, str] | None = None,
) -> go.Figure:
    """(7, 7) counts, true classes in rows, as a heat map of counts or of shares of each row.

    Browsers report no click on a heat map, so every cell also has a transparent square marker, which they
    do report, with `customdata` (true class, predicted class).

    Args:
        matrix: counts.
        normalised: show each row as percentages of its true class.
        highest: top of the colour scale, so that several matrices share one.
        chosen: (true, predicted) of the cell to outline.
    """
    counts = np.asarray(matrix, dtype=float)
    rows = counts.sum(axis=1, keepdims=True)
    share = 100 * np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    shown = share if normalised else counts
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            x=list(EMOTIONS),
            y=list(EMOTIONS),
            text=[[f"{v:.0f}" for v in row] for row in shown],
            texttemplate="%{text}",
            colorscale="Blues",
            zmin=0,
            zmax=highest or (100 if normalised else None),
            showscale=False,
            hoverinfo="skip",
        )
    )
    figure.add_trace(_cell_markers(counts, share))
    if chosen:
        row, column = EMOTIONS.index(chosen[0]), EMOTIONS.index(chosen[1])
        corners = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", **corners, line={"color": "#e8590c", "width": 3})
    figure = finish(figure, "Predicted", "True", height=420)
    figure.update_xaxes(range=[-0.5, len(EMOTIONS) - 0.5])
    figure.update_yaxes(range=[len(EMOTIONS) - 0.5, -0.5])
    figure.update_layout(dragmode=False)
    return figure


def _cell_markers(counts: np.ndarray, share: np.ndarray) -> go.Scatter:
    """One transparent square a cell, to be clicked and hovered over."""
    cells = [(true, predicted) for true in EMOTIONS for predicted in EMOTIONS]
    return go.Scatter(
        x=[predicted for _, predicted in cells],
        y=[true for true, _ in cells],
        customdata=[
            [true, predicted, n, s]
            for (true, predicted), n, s in zip(cells, counts.ravel(), share.ravel(), strict=True)
        ],
        mode="markers",
        marker={"symbol": "square", "size": 34, "color": "rgba(0,0,0,0)", "line": {"width": 0}},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
        hovertemplate="true %{customdata[0]}, predicted %{customdata[1]}: %{customdata[2]:,.0f} images, "
        "%{customdata[3]:.1f} % of the true class<br>click to see them<extra></extra>",
    )


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
    figure = finish(
        figure, "Expression", f"{measure.capitalize() if measure != 'f1' else 'F1'} (%)", barmode="group"
    )
    figure.update_yaxes(range=[0, 100])
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
    figure = finish(figure, "Recall (%)", "Run", height=140 + 44 * len(recalls))
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
    figure = finish(figure, f"Predicted (difference in {unit})", "True", height=420)
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
    figure = finish(figure, "Confidence (%)", "Accuracy (%)", height=360)
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
    return finish(figure, "False positive rate (%)", "True positive rate (%)", height=340)


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
    figure = finish(figure, "Recall (%)", "Precision (%)", height=340)
    figure.update_yaxes(range=[0, 102])
    return figure


def accuracy_by(bins: Mapping[str, Sequence[Mapping[str, Any]]], measure: str) -> go.Figure:
    """`{run: bins}`: accuracy with its 95 % interval in bins of equally many images, one line a run."""
    figure = go.Figure()
    for n, (run, found) in enumerate(bins.items()):
        figure.add_scatter(
            x=[b["mean"] for b in found],
            y=[100 * b["accuracy"] for b in found],
            error_y=_error_bars(found, "accuracy"),
            mode="lines+markers",
            line={"color": SERIES[n % len(SERIES)]},
            name=run,
            showlegend=len(bins) > 1,
            hovertemplate=f"{run}, {measure} %{{x:.4g}}: %{{y:.1f}} % right<extra></extra>",
        )
    return finish(figure, f"{measure.capitalize()} (mean of each tenth of the images)", "Accuracy (%)")


def _error_bars(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Plotly's error bars, in percent: `interval` of each row around its `key`."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (row["interval"][1] - row[key]) for row in rows],
        "arrayminus": [100 * (row[key] - row["interval"][0]) for row in rows],
        "thickness": 1,
    }


def subgroups(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Rows of `fer.evaluation.subgroups`: accuracy with its interval, and what the other groups predict."""
    figure = go.Figure()
    rows = [row for row in rows if row["judged"]]
    runs = list(dict.fromkeys((row["run"], row["name"]) for row in rows))
    groups = len({row["group"] for row in rows})
    for n, (run, name) in enumerate(runs):
        own = [row for row in rows if row["run"] == run]
        shown = ["<br>".join(html.escape(line) for line in wrap(row["group"], 18)) for row in own]
        colour = SERIES[n % len(SERIES)]
        figure.add_scatter(
            x=[100 * row["accuracy_judged"] for row in own],
            y=shown,
            error_x=_error_bars(own, "accuracy_judged"),
            orientation="h",  # or runs of one group would lie on each other
            mode="markers",
            marker={"color": colour, "size": 10},
            name=name,
            offsetgroup=run,
            customdata=[row["judged"] for row in own],
            hovertemplate=f"{name}, %{{y}}: %{{x:.1f}} % of %{{customdata:,}} images right<extra></extra>",
        )
        figure.add_scatter(
            x=[100 * row["expected"] for row in own],
            y=shown,
            orientation="h",
            mode="markers",
            marker={"color": colour, "size": 13, "symbol": "line-ns-open", "line": {"width": 2}},
            name="predicted for its expressions" if len(runs) == 1 else f"{name}, predicted",
            offsetgroup=run,
            hovertemplate=f"{name}, %{{y}}: the other groups predict %{{x:.1f}} %<extra></extra>",
        )
    height = 140 + groups * max(44, 20 * len(runs))
    figure = finish(figure, "Accuracy of the judged images (%)", "", height, scattermode="group")
    drawn = [100 * x for row in rows for x in (*row["interval"], row["expected"])]
    figure.update_xaxes(range=[max(min(drawn) - 2, -1), min(max(drawn) + 2, 101)], showgrid=True)
    figure.update_yaxes(range=[groups - 0.5, -0.5], type="category")
    return figure


def dimensions(values: np.ndarray, name: str) -> go.Figure:
    """Mean activation of every embedding dimension of a transformer block (study C)."""
    figure = go.Figure(go.Bar(x=np.arange(len(values)), y=values, marker_color=SERIES[0]))
    return finish(figure, f"Dimension of {name}", "Mean activation over the patches", height=260)


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
    return finish(figure, "First component of the features", "Second component", height=460)


def ablation(rows: Sequence[Any]) -> go.Figure:
    """Mean accuracy of each variant with its 95 % interval, the recipe as it is on top and as a line.

    rows: `fer.ablations.Row` with an accuracy.
    """
    figure = go.Figure()
    for row in rows:
        half = 0.0 if row.interval is None else 100 * row.interval
        figure.add_scatter(
            x=[100 * row.accuracy],
            y=[row.variant],
            error_x={"type": "data", "array": [half], "visible": row.interval is not None},
            mode="markers",
            marker={"size": 10, "color": SERIES[1] if row.variant == BASE else SERIES[0]},
            showlegend=False,
            hovertemplate=f"%{{y}}: %{{x:.2f}} ± {half:.2f} %, {row.finished} runs<extra></extra>"
            if row.interval is not None
            else "%{y}: %{x:.2f} %, one run<extra></extra>",
        )
    base = next((row for row in rows if row.variant == BASE), None)
    if base is not None:
        figure.add_vline(x=100 * base.accuracy, line_dash="dot", line_color="#868e96")
    figure = finish(figure, "Accuracy on the test images (%)", "", height=110 + 44 * len(rows))
    figure.update_yaxes(autorange="reversed")
    return figure
