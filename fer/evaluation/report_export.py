"""What a report says, as tables that become CSV and LaTeX: the evidence a student hands in.

`report_content` gathers; `report_html` puts it into one page. No TensorFlow unless predictions have to
be computed.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fer.cells import inert
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.comparison import Comparison, compare, significance_tests
from fer.evaluation.metrics import HEADLINES
from fer.evaluation.protocol import ProtocolCard, protocol_card
from fer.evaluation.report import headline_row, run_report, seed_groups
from fer.evaluation.trained import TrainedRun, trained_run

COSTS = {
    "public_test": "Accuracy on PublicTest",
    "private_test": "Accuracy on PrivateTest",
    "images": "Images",
    "leaked": "Leaked images",
    "parameters": "Parameters",
    "file_size": "Model file (bytes)",
    "latency": "Latency, one image (s)",
    "training_seconds": "Training time (s)",
}


@dataclass(frozen=True)
class Table:
    """A table of a report; cells are text, numbers or None."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[list[Any]]

    def to_csv(self) -> str:
        """Comma-separated, every number in full; no text can start a formula."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([inert(column) for column in self.columns])
        writer.writerows([["" if cell is None else inert(cell) for cell in row] for row in self.rows])
        return text.getvalue()

    def to_latex(self) -> str:
        """A `table` environment for the package booktabs, numbers with four decimals."""
        lines = [" & ".join(_tex(column) for column in self.columns) + r" \\", r"\midrule"]
        lines += [" & ".join(_tex(shown(cell)) for cell in row) + r" \\" for row in self.rows]
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{_tex(self.title)}}}",
                r"\begin{tabular}{l" + "r" * (len(self.columns) - 1) + "}",
                r"\toprule",
                *lines,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
            ]
        )


@dataclass(frozen=True)
class ReportContent:
    """Everything a report shows.

    Attributes:
        reports: `run_report` of each run. rows: its `headline_row`. cards: its protocol card.
        comparison: the runs on shared images; None when they cannot be aligned, and `problem` says why.
        tests: `significance_tests`. seeds: `seed_groups`.
        commands: the command that repeats each run, '' when its configuration cannot be read.
    """

    runs: list[TrainedRun]
    split: str
    reports: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    cards: list[ProtocolCard]
    comparison: Comparison | None
    problem: str
    tests: list[dict[str, Any]]
    seeds: list[dict[str, Any]]
    commands: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """A short unique name for each run."""
        names = [run.name for run in self.runs]
        return [run.name if names.count(run.name) == 1 else run.id for run in self.runs]

    @property
    def tables(self) -> list[Table]:
        """Headline figures, per class, and the confusion matrix of each run."""
        found = [self._headlines(), self._per_class()]
        for name, report in zip(self.names, self.reports, strict=True):
            rows = [[e, *row] for e, row in zip(EMOTIONS, report["confusion"], strict=True)]
            title = f"Confusion matrix of {name}: true classes in rows, predicted ones in columns"
            found.append(Table(f"confusion-{report['run']}", title, ("true", *EMOTIONS), rows))
        return found

    def _headlines(self) -> Table:
        titles = {key: title for key, (title, _) in HEADLINES.items()} | COSTS
        rows = [[title, *(row.get(key) for row in self.rows)] for key, title in titles.items()]
        for bound, place in (("low", 0), ("high", 1)):
            cells = [row["interval"][place] for row in self.rows]
            rows.insert(1 + place, [f"Accuracy, 95 % interval, {bound}", *cells])
        rows = [row for row in rows if any(cell is not None for cell in row[1:])]
        return Table("scores", f"Scores on the {self.split} split", ("measure", *self.names), rows)

    def _per_class(self) -> Table:
        rows = [
            [emotion, name, *(report["per_class"][emotion][key] for key in ("precision", "recall", "f1")),
             report["per_class"][emotion]["support"]]
            for emotion in EMOTIONS
            for name, report in zip(self.names, self.reports, strict=True)
        ]  # fmt: skip
        columns = ("class", "run", "precision", "recall", "F1", "support")
        return Table("per-class", f"Per class on the {self.split} split", columns, rows)


def report_content(
    runs: Sequence[Any],
    dataset: Dataset | None = None,
    split: str = "test",
    compute: bool = True,
    progress: Callable[[float, str], None] | None = None,
) -> ReportContent:
    """Gather what a report on `runs` shows.

    Args:
        runs: run directories, or things with `directory`.
        dataset: None for each run's own.
        compute: predict what is not stored (imports TensorFlow); else `NotEvaluated` is raised.

    Raises:
        UserError: no runs, a broken one, an empty split.
    """
    opened = [trained_run(run) for run in runs]
    if not opened:
        raise UserError("A report needs at least one run; choose some.")
    reports = []
    for number, run in enumerate(opened):
        if progress:
            progress(number / len(opened), run.name)
        reports.append(run_report(run, dataset, split, compute))
    comparison, problem, tests = None, "", []
    try:
        comparison = compare(opened, dataset, split, compute)
        tests = significance_tests(comparison)
    except UserError as error:
        problem = str(error)
    rows = [headline_row(run, report) for run, report in zip(opened, reports, strict=True)]
    if progress:
        progress(1.0, "done")
    return ReportContent(
        runs=opened,
        split=split,
        reports=reports,
        rows=rows,
        cards=[protocol_card(run, report) for run, report in zip(opened, reports, strict=True)],
        comparison=comparison,
        problem=problem,
        tests=tests,
        seeds=seed_groups(opened, rows),
        commands=[_command(run) for run in opened],
    )


def shown(cell: Any) -> str:
    """A cell for people: four decimals, thousands separated, a dash for nothing."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.4f}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _command(run: TrainedRun) -> str:
    from fer.reproduce import command_line
    from fer.training.config import TrainConfig

    try:
        return command_line(TrainConfig.from_json(run.config))
    except UserError:
        return ""


def _tex(text: str) -> str:
    escapes = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
    escapes |= {character: "\\" + character for character in "&%$#_{}"}
    return "".join(escapes.get(character, character) for character in str(text))
