"""How a run does on other data sets, and how much accuracy it loses there."""

from collections.abc import Sequence
from typing import Any

from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.evaluation.report import run_report
from fer.evaluation.trained import trained_run


def transfer_table(
    run: Any, datasets: Sequence[Dataset], split: str = "test", compute: bool = False
) -> list[dict[str, Any]]:
    """The run on its own test split, then on each data set.

    Args:
        split: of the run's own data set; another data set without it is judged on what it has.
        compute: predict what is not stored; else such a row has a `reason` instead of figures.

    Returns:
        Rows of `dataset, name, split, images, leaked, accuracy, interval, balanced_accuracy, macro_f1,
        drop` (own accuracy minus this one; None when the own one is unknown), or `dataset, name, reason`.
    """
    run = trained_run(run)
    rows = [_row(run, None, split, compute)]
    own = rows[0].get("accuracy")
    for dataset in datasets:
        if dataset.fingerprint != run.fingerprint:
            rows.append(_row(run, dataset, usable_split(dataset, split), compute))
    for row in rows:
        row["drop"] = None if own is None or "accuracy" not in row else own - row["accuracy"]
    return rows


def usable_split(dataset: Dataset, wanted: str = "test") -> str:
    """`wanted` if the data set has images in it, else the first of test, validation and train it has."""
    has = [split for split in (wanted, "test", "validation", "train") if len(dataset.indices(split))]
    return has[0]


def _row(run: Any, dataset: Dataset | None, split: str, compute: bool) -> dict[str, Any]:
    fingerprint = dataset.fingerprint if dataset else run.fingerprint
    try:
        report = run_report(run, dataset, split, compute)
    except UserError as error:
        return {"dataset": fingerprint, "name": dataset.name if dataset else "", "reason": str(error)}
    keys = ("split", "images", "leaked", "accuracy", "interval", "balanced_accuracy", "macro_f1")
    return {"dataset": fingerprint, "name": report["dataset_name"], **{key: report[key] for key in keys}}
