"""Evaluate a run in the background: the job of kind `evaluate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer.data.dataset import open_dataset
from fer.evaluation.report import run_report


def run(
    config: dict[str, Any],
    directory: Path,
    progress: Callable[[float, str], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Predict a split of a data set with a run's network and store predictions and report with that run.

    Args:
        config: `run` (id or name), `dataset` (fingerprint or name; the run's own when missing), `split`.

    Raises:
        UserError: the run, data set or split cannot be used.
    """
    from fer.runs import open_run

    dataset = open_dataset(config["dataset"]) if config.get("dataset") else None
    target = open_run(config["run"])
    split = str(config.get("split") or "test")
    report = run_report(target.directory, dataset, split, progress=progress, should_stop=should_stop)
    return {"stopped": should_stop(), "metrics": {"accuracy": report["accuracy"], "images": report["images"]}}
