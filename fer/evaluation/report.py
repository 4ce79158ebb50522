"""The report of a run: figures of one split of one data set, cached beside the network.

`report.json` holds the test split of the run's own data set, `report-<split>.json` another split of it,
`report-<fingerprint>-<split>.json` any other data set. A report is valid as long as the network is the
one it was made from. No TensorFlow unless predictions have to be computed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.evaluation.metrics import HEADLINES, classification_report
from fer.evaluation.predictions import Predictions, check_split, evaluate_run, load_predictions
from fer.evaluation.trained import TrainedRun, trained_run
from fer.storage import read_json, write_json

VERSION = 1
LOWER_IS_BETTER = ("log_loss", "ece", "parameters", "file_size", "latency", "training_seconds")
# What may differ between two runs of one experiment: only chance and where it ran.
SEED_KEYS = ("seed", "device", "name", "jit")


class NotEvaluated(UserError):
    """The run has no stored predictions for this data set and split, and computing was not asked for."""


def run_report(
    run: Any,
    dataset: Dataset | None = None,
    split: str = "test",
    compute: bool = True,
    model: Any = None,
    progress: Callable[[float, str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """`classification_report` of the run, plus what it was made from.

    Args:
        run: a run directory or anything with `directory`.
        dataset: None for the run's own.
        split: `train`, `validation`, `test`, `PublicTest` or `PrivateTest`.
        compute: predict what is not stored (imports TensorFlow); False raises `NotEvaluated` instead.
        model: the network if it is loaded.

    Returns:
        The keys of `classification_report`, and `run, name, split, dataset, dataset_name, classes, parts`
        (`{part: accuracy}` where both parts of the test split are there), `latency` (seconds for one
        image), `stamp`, `version`.

    Raises:
        NotEvaluated, UserError: also for a broken run, an empty split, a removed data set.
    """
    run = trained_run(run)
    stamp = run.stamp  # also says when there is no network at all
    path = report_path(run, dataset.fingerprint if dataset else run.fingerprint, check_split(split))
    cached = _cached(path)
    if cached.get("version") == VERSION and cached.get("stamp") == stamp:
        return cached
    dataset = dataset or run.dataset()
    indices = run.indices(dataset, split)
    predictions = stored_predictions(run, dataset, indices)
    if predictions is None:
        if not compute:
            raise NotEvaluated(
                f"Run {run.name!r} is not evaluated on split {split!r} of data set {dataset.name!r} yet."
            )
        predictions = evaluate_run(run, dataset, (split,), model, progress, should_stop)
    report = make_report(run, dataset, indices, split, predictions)
    write_json(path, report)
    return report


def make_report(
    run: TrainedRun, dataset: Dataset, indices: np.ndarray, split: str, predictions: Predictions
) -> dict[str, Any]:
    """The report of these images; see `run_report`."""
    labels = run.labels(dataset, indices, split)
    probabilities = predictions.of(indices)
    assert probabilities is not None, "predictions were made for these images"
    report = classification_report(labels, probabilities, run.leaked(dataset, indices, split))
    correct = probabilities.argmax(axis=1) == labels
    parts = dataset.parts[indices]
    found = [part for part in ("PublicTest", "PrivateTest") if (parts == part).any()]
    return report | {
        "run": run.id,
        "name": run.name,
        "split": split,
        "dataset": dataset.fingerprint,
        "dataset_name": dataset.name,
        "classes": list(run.classes),
        "parts": {part: float(correct[parts == part].mean()) for part in found} if len(found) > 1 else {},
        "latency": predictions.latency,
        "stamp": run.stamp,
        "version": VERSION,
    }


def stored_predictions(run: Any, dataset: Dataset, indices: np.ndarray) -> Predictions | None:
    """Stored predictions if they cover these images, else None."""
    predictions = load_predictions(run, dataset.fingerprint)
    return predictions if predictions is not None and predictions.of(indices) is not None else None


def report_path(run: TrainedRun, fingerprint: str, split: str) -> Path:
    """Where the report of a split of a data set is cached."""
    if fingerprint != run.fingerprint:
        return run.results / f"report-{fingerprint}-{split}.json"
    return run.results / ("report.json" if split == "test" else f"report-{split}.json")


def headline_row(run: Any, report: dict[str, Any]) -> dict[str, Any]:
    """One line of the headline table: the report's figures and what the network costs.

    Keys: `run, name, recipe, model, dataset, split, images, leaked, interval`, every key of `HEADLINES`,
    `public_test, private_test` (None where the data lack them), `parameters, file_size` (bytes),
    `latency` (seconds), `training_seconds`, `seed`.
    """
    run = trained_run(run)
    config, parts = run.config, report["parts"]
    copied = ("split", "images", "leaked", "interval", *HEADLINES)
    return {
        "run": run.id,
        "name": run.name,
        "recipe": config.get("recipe", ""),
        "model": config.get("model", ""),
        "dataset": report["dataset_name"],
        "seed": config.get("seed"),
        **{key: report[key] for key in copied},
        "public_test": parts.get("PublicTest"),
        "private_test": parts.get("PrivateTest"),
        "parameters": run.model_facts.get("parameters"),
        "file_size": run.model_path.stat().st_size if run.model_path.exists() else None,
        "latency": report["latency"] if np.isfinite(report["latency"]) else None,
        "training_seconds": sum(row.get("seconds", 0.0) for row in run.history) or None,
    }


def headline_table(
    runs: Sequence[Any], dataset: Dataset | None = None, split: str = "test", compute: bool = False
) -> list[dict[str, Any]]:
    """`headline_row` of every run; a run that cannot be shown has `run, name, reason` instead."""
    rows = []
    for entry in runs:
        try:
            rows.append(headline_row(entry, run_report(entry, dataset, split, compute)))
        except UserError as error:
            directory = Path(getattr(entry, "directory", entry))
            name = str(getattr(entry, "name", "") or directory.name)
            rows.append({"run": directory.name, "name": name, "reason": str(error)})
    return rows


def best_runs(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """`{metric: runs with the best value}` over rows of `headline_table`; ties share it."""
    costs = ("parameters", "file_size", "latency", "training_seconds")
    result = {}
    for key in (*HEADLINES, "public_test", "private_test", *costs):
        values = {row["run"]: row[key] for row in rows if row.get(key) is not None}
        if values:
            best = (min if key in LOWER_IS_BETTER else max)(values.values())
            result[key] = [run for run, value in values.items() if value == best]
    return result


def seed_groups(runs: Sequence[Any], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation where runs differ only in their seed.

    Args:
        runs: the runs of `rows`, in the same order.
        rows: of `headline_table`.

    Returns:
        For each group of at least two: `runs, names, seeds, recipe, mean {metric}, std {metric}` (sample
        standard deviation, n − 1).
    """
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry, row in zip(runs, rows, strict=True):
        if "reason" not in row:
            groups[experiment_key(trained_run(entry))].append(row)
    result = []
    for members in (rows for rows in groups.values() if len(rows) > 1):
        values = {key: [row[key] for row in members] for key in (*HEADLINES, "public_test", "private_test")}
        values = {key: numbers for key, numbers in values.items() if None not in numbers}
        result.append(
            {
                "runs": [row["run"] for row in members],
                "names": [row["name"] for row in members],
                "seeds": [row["seed"] for row in members],
                "recipe": members[0]["recipe"],
                "mean": {key: float(np.mean(numbers)) for key, numbers in values.items()},
                "std": {key: float(np.std(numbers, ddof=1)) for key, numbers in values.items()},
            }
        )
    return result


def _cached(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path) if path.exists() else {}
    except UserError:
        return {}  # made again below
    return content if isinstance(content, dict) else {}


def experiment_key(run: TrainedRun) -> str:
    """Equal for runs whose configurations differ only in seed and place; the split's seed counts too."""
    import json

    kept = {key: value for key, value in run.config.items() if key not in SEED_KEYS}
    return json.dumps(kept, sort_keys=True, default=str)
