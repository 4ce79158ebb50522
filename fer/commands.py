"""The commands of `python -m fer`: each turns parsed arguments into one call of the library.

A command is a `Command` in `COMMANDS`: name, help, arguments, `run(options, progress)` → plain data, and
`text(result)` → what a person reads. Heavy imports stay inside the functions.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer.errors import UserError

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Command:
    """One command of the command line."""

    name: str
    help: str
    run: Callable[[argparse.Namespace, Progress], Any]
    text: Callable[[Any], str]
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = ()


def _argument(*flags: str, **settings: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return flags, settings


# Data -----------------------------------------------------------------------------------------------------


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


# Training -------------------------------------------------------------------------------------------------


def recipes(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from fer.recipes import RECIPES

    return [
        {
            "recipe": recipe.name,
            "study": recipe.study,
            "model": recipe.model,
            "parameters": recipe.parameters,
            "reported": recipe.reported,
        }
        for recipe in RECIPES.values()
    ]


def model(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.models import model_spec
    from fer.models.summary import diagram_dot, layer_table

    spec = model_spec(options.model)
    network = spec.build(**spec.offline_options)
    return {
        "model": spec.name,
        "parameters": network.count_params(),
        "dot": diagram_dot(network),
        "layers": layer_table(network),
    }


def _model_text(result: dict[str, Any]) -> str:
    rows = [
        {key: row[key] for key in ("name", "type", "output_shape", "parameters")} for row in result["layers"]
    ]
    return f"{_lines(rows)}\n{result['parameters']:,} parameters"


def train(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.data.dataset import open_dataset
    from fer.recipes import recipe_config
    from fer.runs import create_run, run_here, submit

    settings = _settings(options.set)
    for key in ("epochs", "limit", "device", "seed"):
        if getattr(options, key) is not None:
            settings[key] = str(getattr(options, key))
    config = recipe_config(options.recipe, open_dataset(options.dataset).fingerprint, **settings)
    run = create_run(config.to_json(), kind="train", name=options.name, recipe=options.recipe)
    if options.background:
        submit(run)
        return run_summary(run)
    run_here(run, progress=progress)
    status = run.status()
    if status.state not in ("finished", "stopped"):
        raise UserError(f"Run {run.id} {status.state}: {status.reason} {status.remedy}")
    return run_summary(run)


def _settings(pairs: list[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UserError(f"--set {pair!r} is not key=value; for example --set learning_rate=0.001.")
        settings[key.strip()] = value.strip()
    return settings


def run_summary(run: Any) -> dict[str, Any]:
    """What every run command says about a run."""
    status = run.status()
    return {
        "run": run.id,
        "name": run.name,
        "kind": run.kind,
        "state": status.state,
        "reason": status.reason,
        "recipe": run.recipe,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "pid": status.pid,
        "metrics": run.metrics(),
    }


def _run_text(result: dict[str, Any]) -> str:
    line = "{run}: {state}, epoch {epoch} of {epochs}. {reason}".format(**result)
    scores = {key: value for key, value in (result["metrics"] or {}).items() if isinstance(value, float)}
    return "\n".join([line.rstrip(), *(f"  {key}: {value:.4f}" for key, value in scores.items())])


def runs(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from fer.runs import list_runs

    return [run_summary(run) for run in list_runs()]


def show(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.runs import open_run

    return run_summary(open_run(options.run_key))


def stop(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.runs import open_run
    from fer.runs import stop as stop_run

    run = open_run(options.run_key)
    stop_run(run)
    return run_summary(run)


def resume(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.runs import open_run
    from fer.runs import resume as resume_run

    run = open_run(options.run_key)
    resume_run(run)
    return run_summary(run)


def remove(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.runs import open_run
    from fer.runs import remove as remove_run

    run = open_run(options.run_key)
    summary = run_summary(run)
    remove_run(run)
    return summary | {"removed": True}


# Results --------------------------------------------------------------------------------------------------


def evaluate(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.data.dataset import open_dataset
    from fer.evaluation.predictions import evaluate_run
    from fer.evaluation.report import run_report
    from fer.runs import open_run

    run = open_run(options.run_key)
    dataset = open_dataset(options.dataset) if options.dataset else None
    evaluate_run(run.directory, dataset, splits=(options.split,), progress=progress)
    return {"run": run.id} | run_report(run.directory, dataset, options.split)


def _report_text(result: dict[str, Any]) -> str:
    lines = [f"{result['run']}"]
    lines += [f"  {key}: {value:.4f}" for key, value in result.items() if isinstance(value, float)]
    lines += [
        f"  {emotion:9} precision {row['precision']:.3f}  recall {row['recall']:.3f}  F1 {row['f1']:.3f}  "
        f"{row['support']:,} images"
        for emotion, row in result["per_class"].items()
    ]
    return "\n".join(lines)


def predict(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from fer.prediction import NO_FACE, Predictor, read_photo

    run = _model_run(options.model)
    predictor = Predictor([run.directory])
    rows = []
    for number, file in enumerate(options.images):
        progress(number / len(options.images), file)
        try:
            found = predictor.predict(read_photo(file))
            faces = [
                {
                    "box": [int(value) for value in face.box],
                    "emotion": face.emotion,
                    "probabilities": face.probabilities[run.id],
                }
                for face in found
            ]
            error_text = None if faces else NO_FACE
            rows.append({"file": file, "faces": faces, "error": error_text})
        except UserError as error:
            rows.append({"file": file, "faces": [], "error": str(error)})
    progress(1.0, "done")
    if all(row["error"] for row in rows) and len(rows) == 1 and not options.json:
        raise UserError(rows[0]["error"])
    return rows


def _model_run(key: str | None) -> Any:
    """The run asked for, else the starter, else the finished run with the best accuracy."""
    from fer.runs import list_runs, open_run

    if key:
        return open_run(key)
    try:
        return open_run("starter")
    except UserError:
        finished = [run for run in list_runs() if run.kind == "train" and run.status().state == "finished"]
    if not finished:
        raise UserError(
            "There is no trained model yet. Train one: python -m fer train baseline_cnn --dataset D."
        )
    return max(finished, key=lambda run: run.metrics().get("accuracy") or 0.0)


def _predict_text(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        if row["error"]:
            lines.append(f"{row['file']}: {row['error']}")
        for face in row["faces"]:
            share = 100 * face["probabilities"][face["emotion"]]
            lines.append(f"{row['file']}: {face['emotion']} ({share:.0f} %) at {face['box']}")
    return "\n".join(lines)


def explain(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    import cv2

    from fer.emotions import EMOTIONS
    from fer.errors import UnknownName
    from fer.explanation import explain as compute
    from fer.explanation import overlay
    from fer.models.loading import load_model
    from fer.runs import open_run
    from fer.storage import write_bytes

    run = open_run(options.run_key)
    classes = tuple(run.config.get("classes") or EMOTIONS)
    if options.target and options.target not in classes:
        raise UnknownName("expression", options.target, classes)
    image = _face(options.image, run)
    model = load_model(run.directory / "best.keras")
    found = compute(model, image, options.method, options.layer, options.target, classes, progress)
    picture = cv2.cvtColor(overlay(image, found.heatmap, 0.5, scale=8), cv2.COLOR_RGB2BGR)
    write_bytes(Path(options.out), cv2.imencode(".png", picture)[1].tobytes())
    return {
        "method": found.method,
        "layer": found.layer,
        "target": found.target,
        "predicted": found.predicted,
        "confidence": found.confidence,
        "out": options.out,
    }


def _face(key: str, run: Any) -> Any:
    """A face from a file, or by number or name from the data set of the run."""
    from fer.data.dataset import open_dataset
    from fer.prediction import crop_face, decode_photo, find_faces

    path = Path(key)
    if path.is_file():
        photo = decode_photo(path.read_bytes(), path.name)
        faces = find_faces(photo)
        if not faces:
            raise UserError(f"No face was found in {key!r}; try a closer, frontal, well-lit photo.")
        return crop_face(photo, faces[0])
    dataset = open_dataset(run.config["dataset"])
    if key.isdigit() and int(key) < len(dataset):
        return dataset.images[int(key)]
    matches = [
        n for n, name in enumerate(dataset.names) if key == name or name.rsplit("/", 1)[-1].startswith(key)
    ]
    if len(matches) != 1:
        raise UserError(
            f"{key!r} is neither a file nor the number (0 to {len(dataset) - 1}) or name of an image of "
            f"{dataset.name!r}."
        )
    return dataset.images[matches[0]]


def compare(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.evaluation.comparison import compare as align
    from fer.evaluation.comparison import significance_tests
    from fer.evaluation.report import headline_row, run_report
    from fer.runs import open_run

    runs = [open_run(key) for key in options.run_keys]
    if len({run.id for run in runs}) < len(runs):
        raise UserError("A run is named twice; name each once.")
    rows = []
    for number, run in enumerate(runs):
        progress(number / len(runs), run.name)
        rows.append(headline_row(run, run_report(run.directory, split=options.split)))
    progress(1.0, "done")
    tests = significance_tests(align(runs, split=options.split, compute=True)) if len(runs) > 1 else []
    return {"split": options.split, "runs": rows, "tests": tests}


def _compare_text(result: dict[str, Any]) -> str:
    columns = ("name", "accuracy", "accuracy_without_leaks", "balanced_accuracy", "macro_f1", "log_loss")
    rows = [
        {key: f"{row[key]:.4f}" if isinstance(row[key], float) else row[key] for key in columns}
        for row in result["runs"]
    ]
    return "\n".join([_lines(rows), *(test["verdict"] for test in result["tests"])])


def doctor(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.doctor import clean, examine

    if options.dry_run and not options.clean:
        raise UserError("--dry-run belongs to --clean: python -m fer doctor --clean --dry-run.")
    found = examine()
    return found | {"cleaned": clean(options.dry_run)} if options.clean else found


def _doctor_text(found: dict[str, Any]) -> str:
    cache = found["cache"]
    lines = [
        f"Python {found['python']}, TensorFlow {found['tensorflow']}, Keras {found['keras']}, "
        f"Streamlit {found['streamlit']}",
        "Devices: " + ", ".join(f"{device['name']} ({device['title']})" for device in found["devices"]),
        f"Cache: {cache['path']}, {cache['bytes'] / 1e6:,.0f} MB, {cache['free_bytes'] / 1e9:,.1f} GB free",
    ]
    lines += [f"- {p['what']} {p['remedy']} {p['path']}".rstrip() for p in found["problems"]]
    lines += [] if found["problems"] else ["No problem found."]
    return "\n".join(lines + [f"removed: {path}" for path in found.get("cleaned", ())])


def _lines(rows: list[dict[str, Any]]) -> str:
    """A list of records as aligned columns."""
    if not rows:
        return "none yet"
    columns = [key for key in rows[0] if not isinstance(rows[0][key], dict | list)]
    cells = [columns, *([str(row[c]) if row[c] is not None else "–" for c in columns] for row in rows)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(columns))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _document(result: dict[str, Any]) -> str:
    """A record as lines of `key: value`, nested records indented."""
    lines: list[str] = []

    def add(value: Any, indent: int) -> None:
        for key, item in value.items():
            if isinstance(item, dict):
                lines.append(f"{'  ' * indent}{key}:")
                add(item, indent + 1)
            elif not (isinstance(item, list) and len(item) > 12) and not hasattr(item, "shape"):
                lines.append(
                    f"{'  ' * indent}{key}: {item:.4f}"
                    if isinstance(item, float)
                    else f"{'  ' * indent}{key}: {item}"
                )

    add(result, 0)
    return "\n".join(lines)


_DATASET = _argument("dataset", metavar="DATASET", help="name or fingerprint")
_RUN = _argument("run_key", metavar="RUN", help="run id or name")

COMMANDS: tuple[Command, ...] = (
    Command(
        "import",
        "import a data set",
        import_source,
        _import_text,
        (
            _argument(
                "source", metavar="SOURCE", help="folder, .zip, fer2013.csv, kaggle:OWNER/NAME or demo"
            ),
            _argument("--name", help="what to call it"),
        ),
    ),
    Command("datasets", "list imported data sets", datasets, _lines),
    Command("statistics", "counts, class weights and pixel statistics", statistics, _document, (_DATASET,)),
    Command(
        "audit",
        "missing and flat images, duplicates, leaks, conflicting labels",
        audit,
        _document,
        (_DATASET,),
    ),
    Command("recipes", "list what can be trained", recipes, _lines),
    Command("model", "layers of a network", model, _model_text, (_argument("model", metavar="MODEL"),)),
    Command(
        "train",
        "train a recipe here, or hand it to the queue",
        train,
        _run_text,
        (
            _argument("recipe", metavar="RECIPE"),
            _argument("--dataset", required=True, metavar="D", help="name or fingerprint"),
            _argument(
                "--set", action="append", default=[], metavar="key=value", help="change a setting; repeatable"
            ),
            _argument("--epochs", type=int),
            _argument("--limit", type=int, help="use at most this many training images"),
            _argument("--seed", type=int),
            _argument("--device", help="auto, cpu or gpu:N"),
            _argument("--name", help="what to call the run"),
            _argument("--background", action="store_true", help="queue it and return"),
        ),
    ),
    Command("runs", "list runs", runs, _lines),
    Command("show", "one run", show, _run_text, (_RUN,)),
    Command("stop", "stop a run; its best model is kept", stop, _run_text, (_RUN,)),
    Command("resume", "continue a run from its last complete epoch", resume, _run_text, (_RUN,)),
    Command("remove", "move a run to the trash", remove, _run_text, (_RUN,)),
    Command(
        "evaluate",
        "score a run on a split",
        evaluate,
        _report_text,
        (
            _RUN,
            _argument("--dataset", metavar="D", help="another data set than the run's own"),
            _argument("--split", default="test", help="train, validation, test, PublicTest or PrivateTest"),
        ),
    ),
    Command(
        "compare",
        "runs side by side, with significance",
        compare,
        _compare_text,
        (
            _argument("run_keys", metavar="RUN", nargs="+"),
            _argument("--split", default="test"),
        ),
    ),
    Command(
        "explain",
        "heat map of one image",
        explain,
        _document,
        (
            _RUN,
            _argument(
                "image", metavar="IMAGE", help="file, or number or name of an image of the run's data set"
            ),
            _argument("--method", default="gradcam"),
            _argument("--layer", help="layer to read; the model's default otherwise"),
            _argument("--target", metavar="CLASS", help="class to explain; the predicted one otherwise"),
            _argument("--out", required=True, metavar="PNG"),
        ),
    ),
    Command(
        "predict",
        "expressions of the faces in photos",
        predict,
        _predict_text,
        (
            _argument("images", metavar="IMAGE", nargs="+"),
            _argument("--model", metavar="RUN", help="run id or name; the starter or best run otherwise"),
        ),
    ),
    Command(
        "doctor",
        "versions, devices, disk use, leftovers",
        doctor,
        _doctor_text,
        (
            _argument("--clean", action="store_true", help="remove leftovers"),
            _argument("--dry-run", action="store_true", help="with --clean: only say what would go"),
        ),
    ),
)
