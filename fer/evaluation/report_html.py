"""One HTML file with everything in it: tables, interactive figures, protocol, commands, configurations.

plotly.js is written into the file (4.5 MB), so that it opens anywhere, without a network, for years.
"""

import base64
import html
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer import __version__
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.evaluation.calibration import reliability
from fer.evaluation.comparison import row_normalised
from fer.evaluation.curves import training_curve
from fer.evaluation.report_export import ReportContent, Table, report_content, shown
from fer.storage import write_text

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7B5EA7", "#8C8C8C")
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1100px;padding:1rem;color:#1b1b1f}
h1,h2,h3{line-height:1.2} table{border-collapse:collapse;display:block;overflow-x:auto;margin:.5rem 0}
td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left} pre{background:#f4f4f6;padding:.7rem;overflow-x:auto}
.warning{background:#fff3cd;padding:.4rem .7rem;margin:.3rem 0} .figure{width:100%;height:440px}
"""


def export_report(
    runs: Sequence[Any],
    out: Path | str,
    dataset: Dataset | None = None,
    split: str = "test",
    figures: Sequence[tuple[str, Any]] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Path:
    """Write the report on `runs` to `out`; arguments as in `report_content` and `html_report`."""
    content = report_content(runs, dataset, split, progress=progress)
    path = Path(out)
    write_text(path, html_report(content, figures))
    return path


def html_report(content: ReportContent, figures: Sequence[tuple[str, Any]] | None = None) -> str:
    """The whole page.

    Args:
        content: from `report_content`.
        figures: `(title, figure)`, a plotly Figure or its `{data, layout}`; None for `standard_figures`.
    """
    from plotly.offline import get_plotlyjs

    drawn = standard_figures(content) if figures is None else figures
    title = f"Facial-expression recognition: {', '.join(content.names)}"
    made = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC")
    dataset = content.reports[0]["dataset_name"]
    parts = [
        f"<h1>{_safe(title)}</h1>",
        f"<p>Split {_safe(content.split)} of {_safe(dataset)}. Made on {made}, version {__version__}.</p>",
        _section("Scores", _table(content.tables[0]), _seeds(content)),
        _section("Are they different?", _significance(content)) if len(content.runs) > 1 else "",
        _section("Under which conditions", *(_card(content, n) for n in range(len(content.runs)))),
        _section("Figures", *(_figure(n, name, figure) for n, (name, figure) in enumerate(drawn))),
        _section("Tables", *(_with_sources(table) for table in content.tables)),
        _section("Repeat it", *(_repeat(content, n) for n in range(len(content.runs)))),
        "<p>Expressions are not feelings; FER-2013's labels are noisy and its faces unrepresentative. "
        "Not for decisions about people.</p>",
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style><script>{get_plotlyjs()}</script></head><body>{''.join(parts)}</body></html>"
    )


def standard_figures(content: ReportContent) -> list[tuple[str, dict[str, Any]]]:
    """Confusion matrices, recall per class, training curves and reliability as plotly's plain JSON."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name, report in zip(content.names, content.reports, strict=True):
        found.append((f"Confusion matrix: {name}", _confusion(report["confusion"])))
    found.append(("F1 per class", _bars(content)))
    for column, title in (("val_accuracy", "Validation accuracy"), ("val_loss", "Validation loss")):
        lines = [_line(content, n, training_curve(run, column)) for n, run in enumerate(content.runs)]
        if any(line["x"] for line in lines):
            found.append((title, _layout(lines, "epoch", title.lower())))
    if content.comparison is not None:
        found.append(("Reliability", _reliability(content)))
    return found


def _confusion(confusion: list[list[int]]) -> dict[str, Any]:
    share = row_normalised(confusion)  # type: ignore[arg-type]
    trace = {
        "type": "heatmap",
        "x": list(EMOTIONS),
        "y": list(EMOTIONS),
        "z": share.tolist(),
        "text": confusion,
        "texttemplate": "%{text}",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "#f7fbff"], [0.5, "#6baed6"], [1, "#08306b"]],
        "hovertemplate": "%{y} said to be %{x}: %{text} images, %{z:.1%}<extra></extra>",
    }
    figure = _layout([trace], "predicted", "true")
    figure["layout"]["yaxis"] |= {"autorange": "reversed", "automargin": True}
    return figure


def _bars(content: ReportContent) -> dict[str, Any]:
    traces = [
        {
            "type": "bar",
            "name": _safe(name),
            "x": list(EMOTIONS),
            "y": [report["per_class"][emotion]["f1"] for emotion in EMOTIONS],
            "marker": {"color": COLOURS[n % len(COLOURS)]},
        }
        for n, (name, report) in enumerate(zip(content.names, content.reports, strict=True))
    ]
    return _layout(traces, "", "F1")


def _line(content: ReportContent, number: int, curve: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _safe(content.names[number]),
        "x": curve["epochs"],
        "y": curve["values"],
        "line": {"color": COLOURS[number % len(COLOURS)]},
    }


def _reliability(content: ReportContent) -> dict[str, Any]:
    assert content.comparison is not None
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": "calibrated", "x": [0, 1], "y": [0, 1],
         "line": {"dash": "dot", "color": "#8C8C8C"}}
    ]  # fmt: skip
    for number, probabilities in enumerate(content.comparison.probabilities):
        diagram = reliability(content.comparison.labels, probabilities)
        pairs = [(c, a) for c, a in zip(diagram.confidence, diagram.accuracy, strict=True) if c is not None]
        trace = {"type": "scatter", "mode": "lines+markers", "name": _safe(content.names[number])}
        trace |= {"x": [c for c, _ in pairs], "y": [a for _, a in pairs]}  # type: ignore[dict-item]
        traces.append(trace | {"line": {"color": COLOURS[number % len(COLOURS)]}})
    return _layout(traces, "confidence", "accuracy")


def _layout(traces: list[dict[str, Any]], x: str, y: str) -> dict[str, Any]:
    axis = {"title": {"text": y, "standoff": 12}, "automargin": True}
    layout = {"xaxis": {"title": {"text": x}}, "yaxis": axis, "margin": {"t": 20}}
    return {"data": traces, "layout": layout}


def _figure(number: int, title: str, figure: Any) -> str:
    content = figure.to_json() if hasattr(figure, "to_json") else json.dumps(figure)
    content = content.replace("<", "\\u003c")  # cannot end the script, whatever a name contains
    return (
        f'<h3>{_safe(title)}</h3><div class="figure" id="figure-{number}"></div><script>'
        f"(function(){{var f={content};Plotly.newPlot('figure-{number}',f.data,f.layout,"
        "{responsive:true});})();</script>"
    )


def _seeds(content: ReportContent) -> str:
    sentences = []
    for group in content.seeds:
        figures = [
            f"{key.replace('_', ' ')} {mean:.4f} ± {group['std'][key]:.4f}"
            for key, mean in group["mean"].items()
        ]
        sentences.append(f"{len(group['runs'])} runs differ only in their seed: {', '.join(figures)}.")
    return "".join(f"<p>{_safe(sentence)}</p>" for sentence in sentences)


def _significance(content: ReportContent) -> str:
    if content.problem:
        return f'<p class="warning">{_safe(content.problem)}</p>'
    return "<ul>" + "".join(f"<li>{_safe(test['verdict'])}</li>" for test in content.tests) + "</ul>"


def _card(content: ReportContent, number: int) -> str:
    card = content.cards[number].to_json()
    rows = [
        [key.replace("_", " ").capitalize(), "; ".join(value) if isinstance(value, list) else value]
        for key, value in card.items()
        if key != "warnings" and value
    ]
    lines = "".join(
        f"<tr><td>{_safe(key)}</td><td style='text-align:left'>{_safe(v)}</td></tr>" for key, v in rows
    )
    warnings = "".join(f'<div class="warning">{_safe(text)}</div>' for text in card["warnings"])
    return f"<h3>{_safe(content.names[number])}</h3><table>{lines}</table>{warnings}"


def _repeat(content: ReportContent, number: int) -> str:
    run = content.runs[number]
    command = content.commands[number] or "The configuration below cannot be read by this version."
    stored = {"config": run.config, "environment": run.environment, "model": run.model_facts}
    return (
        f"<h3>{_safe(content.names[number])}</h3><pre>{_safe(command)}</pre>"
        f"<details><summary>Configuration, environment and model</summary>"
        f"<pre>{_safe(json.dumps(stored, indent=1, default=str))}</pre></details>"
    )


def _with_sources(table: Table) -> str:
    data = base64.b64encode(table.to_csv().encode()).decode()
    link = f'<a download="{_safe(table.name)}.csv" href="data:text/csv;base64,{data}">CSV</a>'
    return (
        f"<h3>{_safe(table.title)}</h3>{_table(table)}{link}"
        f"<details><summary>LaTeX</summary><pre>{_safe(table.to_latex())}</pre></details>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{_safe(column)}</th>" for column in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_safe(shown(cell))}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{_safe(title)}</h2>{''.join(parts)}</section>"


def _safe(text: Any) -> str:
    return html.escape(str(text))
