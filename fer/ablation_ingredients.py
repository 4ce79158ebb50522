"""An ablation whose ingredients are made first: a denoised copy, a selection without outliers.

One job makes what is missing and then queues every variant, so one click is enough. What is there already
(a copy made with the same settings, the autoencoder's scores) is used and not made again.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fer.ablations import new_identifier, start
from fer.checks import check_choice
from fer.data.dataset import Dataset, list_datasets, open_dataset
from fer.data.selection import mark, open_selection
from fer.runs import Run, create_run, list_runs, submit
from fer.training.ablation import ablation
from fer.training.config import TrainConfig
from fer.training.pinning import pinned

KIND = "ablation"
INGREDIENTS: tuple[str, ...] = ("denoised", "outliers")
PERCENTILE = 98.0  # study A's
SELECTION = "without outliers"

Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]


def queue(
    config: TrainConfig,
    make: Sequence[str],
    seeds: int = 3,
    selection: str = "",
    denoised: str = "",
) -> tuple[str, Run]:
    """Queue the job that makes some of `INGREDIENTS` and then the ablation; returns (its id, the job).

    selection, denoised: as in `fer.ablations.start`, for an ingredient that is there.

    Raises:
        UnknownName: `make` names something else.
        UserError: as `fer.training.ablation.ablation`, or the job cannot be made or submitted.
    """
    for name in make:
        check_choice("ingredient", name, INGREDIENTS)
    ablation(config, seeds, selection, denoised)  # what it would refuse then, it refuses now
    identifier = new_identifier(config.recipe)
    content = {
        "dataset": config.dataset,
        "ablation": identifier,
        "training": pinned(config.to_json()),  # its variants are made later, after edits perhaps
        "make": list(make),
        "seeds": seeds,
        "selection": selection,
        "denoised": denoised,
    }
    run = create_run(content, kind=KIND, recipe=config.recipe)
    submit(run)
    return identifier, run


def renewed(job: Run) -> dict[str, Any]:
    """The config of a job of this kind, for another ablation: under the old id its runs are there already."""
    return job.config | {"ablation": new_identifier(job.recipe)}


def job_of(identifier: str) -> Run | None:
    """The newest job that makes the ingredients of an ablation; None for one that needed none."""
    jobs = (run for run in list_runs() if run.kind == KIND)
    return next((job for job in jobs if job.config.get("ablation") == identifier), None)


def run(
    config: dict[str, Any], directory: Path, progress: Progress, should_stop: ShouldStop
) -> dict[str, Any]:
    """The job `ablation` of `fer.runs`."""
    training, make = TrainConfig.from_json(config["training"]), config["make"]
    dataset = open_dataset(training.dataset)
    selection, denoised = str(config["selection"]), str(config["denoised"])
    if "denoised" in make:
        copy = _denoised(dataset, lambda f, text: progress(0.4 * f, text), should_stop)
        if copy is None:
            return {"stopped": True, "metrics": {}}
        denoised = copy.fingerprint
    if "outliers" in make:
        found = _without_outliers(
            dataset, directory, lambda f, text: progress(0.4 + 0.55 * f, text), should_stop
        )
        if found is None:
            return {"stopped": True, "metrics": {}}
        selection = found
    progress(0.97, "Queueing the trainings")
    start(training, int(config["seeds"]), selection, denoised, identifier=str(config["ablation"]))
    progress(1.0, "Finished")
    facts = {"ablation": config["ablation"], "selection": selection, "denoised": denoised}
    return {"stopped": False, "metrics": facts}


def _denoised(dataset: Dataset, progress: Progress, should_stop: ShouldStop) -> Dataset | None:
    """The copy by study A's non-local means; None when stopped."""
    from fer.analysis.denoising import DenoiseConfig, denoise_dataset

    settings = DenoiseConfig()
    for info in list_datasets():
        made_from, how = info.meta.get("denoised_from"), info.meta.get("denoising")
        if (made_from, how) == (dataset.fingerprint, settings.to_json()):
            return open_dataset(info.fingerprint)
    taken = {info.name for info in list_datasets()}
    names = (f"{dataset.name[:45].rstrip()} denoised{n}" for n in ("", *range(2, 1000)))
    return denoise_dataset(
        dataset, settings, next(name for name in names if name not in taken), progress, should_stop
    )


def _without_outliers(
    dataset: Dataset, directory: Path, progress: Progress, should_stop: ShouldStop
) -> str | None:
    """`name@version` of the selection that drops the autoencoder's strangest 2 %; None when stopped."""
    from fer.analysis import outlier_training, outliers

    if outliers.load_scores(dataset) is None:
        settings = {"dataset": dataset.fingerprint, "detectors": ["autoencoder"]}
        if outlier_training.run(settings, directory, progress, should_stop)["stopped"]:
            return None
    scores = outliers.load_scores(dataset)
    assert scores is not None, "the job before has stored them"
    found = outliers.flag(dataset, scores, PERCENTILE)
    reason = f"autoencoder: flagged at the {PERCENTILE:g}th percentile"
    mark(dataset, SELECTION, found.flagged, "drop", reason=reason, overwrite=False)
    return open_selection(dataset, SELECTION).reference
