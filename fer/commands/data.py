"""Commands about data sets: import, look, clean."""

import argparse
from pathlib import Path
from typing import Any

from fer.commands.base import DATASET, Command, Progress, argument, as_document, as_lines
from fer.errors import UserError


def import_source(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.data.sources import import_source as import_

    result = import_(options.source, name=options.name, progress=progress)
    return {
        "dataset": result.dataset.fingerprint,
        "name": result.dataset.name,
        "images": len(result.dataset),
        "counts": result.dataset.counts(),
        "quarantined": result.quarantined,
        "warnings": result.warnings,
        "seconds": result.seconds,
    }


def _import_text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['name']} ({result['dataset']}): {result['images']:,} images in {result['seconds']:.1f} s"
    ]
    lines += [f"  {split}: {sum(counts.values()):,}" for split, counts in result["counts"].items()]
    if result["quarantined"]:
        lines.append(f"  {len(result['quarantined'])} quarantined:")
        lines += [f"    {item['where']}: {item['reason']}" for item in result["quarantined"][:20]]
    return "\n".join(lines + [f"  Note: {warning}" for warning in result["warnings"]])


def datasets(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from fer.data.dataset import list_datasets

    return [
        {"dataset": info.fingerprint, "name": info.name, "images": info.images, "source": info.source}
        for info in list_datasets()
    ]


def statistics(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.analysis.statistics import statistics as compute
    from fer.data.dataset import open_dataset

    return compute(open_dataset(options.dataset))


def audit(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.data.audit import audit as compute
    from fer.data.dataset import open_dataset

    return compute(open_dataset(options.dataset))


def denoise(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    import time

    from fer.analysis.denoising import DenoiseConfig, denoise_dataset
    from fer.data.dataset import open_dataset

    begin = time.perf_counter()
    config = DenoiseConfig(method=options.method, strength=options.strength)
    made = denoise_dataset(open_dataset(options.dataset), config, options.name, progress)
    if made is None:
        raise UserError("The denoising was stopped; nothing was written.")
    seconds = time.perf_counter() - begin
    return {"dataset": made.fingerprint, "name": made.name, "images": len(made), "seconds": seconds}


def outliers(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    import time

    from fer.analysis.outliers import checked_percentile, flag, load_scores
    from fer.data.dataset import check_name, open_dataset
    from fer.data.selection import mark
    from fer.runs import create_run, run_here

    begin = time.perf_counter()
    percentile = checked_percentile(options.percentile)
    if options.selection:
        check_name(options.selection)  # now, not after minutes
    dataset = open_dataset(options.dataset)
    scores = load_scores(dataset, options.detector)
    if scores is None:
        run = create_run({"dataset": dataset.fingerprint, "detectors": [options.detector]}, kind="outliers")
        run_here(run, progress=progress)
        status, scores = run.status(), load_scores(dataset, options.detector)
        if scores is None:
            raise UserError(f"Run {run.id} {status.state}: {status.reason} {status.remedy}")
    found = flag(dataset, scores, percentile)
    reference = None
    if options.selection:
        why = f"{scores.detector}: flagged at the {percentile:g}th percentile"
        reference = mark(dataset, options.selection, found.flagged, "drop", reason=why).reference
    return {
        "parameters": scores.facts.get("parameters"),
        "percentile": percentile,
        "threshold": found.threshold,
        "flagged": len(found.flagged),
        "kept": len(found.kept),
        "selection": reference,
        "images": [{"name": dataset.names[i], "error": float(scores.errors[i])} for i in found.flagged],
        "seconds": time.perf_counter() - begin,
    }


def selection(options: argparse.Namespace, progress: Progress) -> Any:
    from fer.data import selection as selections
    from fer.data.dataset import open_dataset
    from fer.data.selection_csv import export_csv, import_csv
    from fer.storage import write_text

    dataset = open_dataset(options.dataset)
    if options.verb == "list":
        opened = [selections.open_selection(dataset, name) for name in selections.list_selections(dataset)]
        return [{"selection": s.name, "version": s.version, **s.counts()} for s in opened]
    if not options.name:
        raise UserError(f"Name the selection: python -m fer selection {options.verb} DATASET NAME.")
    command = f"selection {options.verb} DATASET NAME"
    if options.verb == "drop-leaked":
        made = selections.drop_leaked(dataset, options.name)
    elif options.verb == "import":
        made = import_csv(dataset, options.name, Path(_file_argument(options, command)).read_bytes())
    else:
        made = selections.open_selection(dataset, options.name)
        if options.verb == "export":
            write_text(Path(_file_argument(options, command)), export_csv(dataset, made))
    return {"selection": made.name, "version": made.version, "reference": made.reference, **made.counts()}


def attribute(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from fer.analysis import attributes
    from fer.data.dataset import open_dataset

    dataset = open_dataset(options.dataset)
    if options.verb == "import":
        if options.name:
            raise UserError(f"Leave out {options.name!r}: the columns of the CSV name the attributes.")
        file = _file_argument(options, "attribute import DATASET")
        attributes.import_attributes(dataset, Path(file).read_bytes())
    elif options.verb == "remove":
        if not options.name:
            raise UserError("Name the attribute: python -m fer attribute remove DATASET NAME.")
        attributes.delete_attribute(dataset, options.name)
    rows = []
    for name in attributes.list_attributes(dataset):
        try:
            found = attributes.open_attribute(dataset, name)
            images, groups = int((found.codes != attributes.UNKNOWN).sum()), ", ".join(found.groups)
        except UserError as error:
            images, groups = None, str(error)
        rows.append({"attribute": name, "images": images, "groups": groups})
    return rows


def _file_argument(options: argparse.Namespace, command: str) -> str:
    if not options.file:
        raise UserError(f"Name the CSV file: python -m fer {command} --file F.")
    if options.verb == "import" and not Path(options.file).is_file():
        raise UserError(f"There is no file {options.file!r}.")
    return options.file


COMMANDS: tuple[Command, ...] = (
    Command(
        "import",
        "import a data set",
        import_source,
        _import_text,
        (
            argument("source", metavar="SOURCE", help="folder, .zip, fer2013.csv, kaggle:OWNER/NAME or demo"),
            argument("--name", help="what to call it"),
        ),
    ),
    Command("datasets", "list imported data sets", datasets, as_lines),
    Command("statistics", "counts, class weights and pixel statistics", statistics, as_document, (DATASET,)),
    Command(
        "audit",
        "missing and flat images, duplicates, leaks, conflicting labels",
        audit,
        as_document,
        (DATASET,),
    ),
    Command(
        "denoise",
        "a denoised copy as a new data set",
        denoise,
        as_document,
        (
            DATASET,
            argument("--name", required=True, help="what to call the copy"),
            argument(
                "--method", default="non-local means", help="non-local means, gaussian, median, bilateral"
            ),
            argument("--strength", type=float, default=10.0, help="of non-local means, in grey levels"),
        ),
    ),
    Command(
        "outliers",
        "fit the autoencoder once, score train, flag the strangest images",
        outliers,
        as_document,
        (
            DATASET,
            argument("--percentile", type=float, default=98.0, help="90 to 99.9"),
            argument(
                "--detector",
                default="autoencoder",
                help="autoencoder, code distance (finds covered faces too), pca, isolation forest",
            ),
            argument("--selection", metavar="NAME", help="drop them in this selection, a new one or not"),
        ),
    ),
    Command(
        "selection",
        "list, show, export, import, or drop leaked and conflicting images",
        selection,
        lambda result: as_lines(result) if isinstance(result, list) else as_document(result),
        (
            argument("verb", choices=("list", "show", "export", "import", "drop-leaked")),
            DATASET,
            argument("name", nargs="?"),
            argument("--file", help="the CSV file"),
        ),
    ),
    Command(
        "attribute",
        "what divides images into groups: list, import from a CSV, or remove",
        attribute,
        as_lines,
        (
            argument("verb", choices=("list", "import", "remove")),
            DATASET,
            argument("name", nargs="?"),
            argument("--file", help="CSV with a column image and one for each attribute"),
        ),
    ),
)
