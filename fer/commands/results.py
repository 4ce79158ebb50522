"""Commands about what was trained: scores, comparison, explanation, prediction."""

import argparse
from pathlib import Path
from typing import Any

from fer.commands.base import RUN, Command, Progress, argument, as_document, as_lines
from fer.errors import UserError


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


def compare(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.data.dataset import open_dataset
    from fer.evaluation.comparison import common_dataset, significance_tests
    from fer.evaluation.comparison import compare as align
    from fer.evaluation.report import headline_row, run_report
    from fer.runs.run import STARTER

    runs = _different_runs(options.run_keys)
    dataset = open_dataset(options.dataset) if options.dataset else None
    # A run's own stored report needs no data; the starter is judged on the data of the others.
    shared = dataset or (common_dataset(runs) if any(run.id == STARTER for run in runs) else None)
    rows = []
    for number, run in enumerate(runs):
        progress(number / len(runs), run.name)
        rows.append(headline_row(run, run_report(run.directory, shared, options.split)))
    progress(1.0, "done")
    tests = significance_tests(align(runs, shared, options.split, compute=True)) if len(runs) > 1 else []
    return {"split": options.split, "runs": rows, "tests": tests}


def _compare_text(result: dict[str, Any]) -> str:
    columns = ("name", "accuracy", "accuracy_without_leaks", "balanced_accuracy", "macro_f1", "log_loss")
    rows = [
        {key: f"{row[key]:.4f}" if isinstance(row[key], float) else row[key] for key in columns}
        for row in result["runs"]
    ]
    return "\n".join([as_lines(rows), *(test["verdict"] for test in result["tests"])])


def subgroups(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.analysis.attributes import open_attribute
    from fer.data.dataset import open_dataset
    from fer.evaluation.comparison import common_dataset
    from fer.evaluation.comparison import compare as align
    from fer.evaluation.subgroups import findings
    from fer.evaluation.subgroups import subgroups as audit

    runs = _different_runs(options.run_keys)
    dataset = open_dataset(options.dataset) if options.dataset else common_dataset(runs)
    attribute = open_attribute(dataset, options.by)  # before what may take minutes
    rows = audit(align(runs, dataset, options.split, compute=True), attribute)
    return {"by": options.by, "split": options.split, "groups": rows, "findings": findings(rows)}


def _different_runs(keys: list[str]) -> list[Any]:
    from fer.runs import open_run

    runs = [open_run(key) for key in keys]
    if len({run.id for run in runs}) < len(runs):
        raise UserError("A run is named twice; name each once.")
    return runs


def _subgroups_text(result: dict[str, Any]) -> str:
    hidden = ("run", "p", "interval")
    rows = [{key: value for key, value in row.items() if key not in hidden} for row in result["groups"]]
    return "\n".join([as_lines(rows), *result["findings"]])


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
    from fer.runs.jobs import WITH_NETWORK

    if key:
        return open_run(key)
    try:
        return open_run("starter")
    except UserError:
        trained = [run for run in list_runs() if run.kind in WITH_NETWORK]
        finished = [run for run in trained if run.status().state == "finished"]
    if not finished:
        raise UserError(
            "There is no trained model yet. Train one: python -m fer train baseline_cnn --dataset D."
        )
    return max(finished, key=lambda run: run.test_metrics().get("accuracy") or 0.0)


def _predict_text(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        if row["error"]:
            lines.append(f"{row['file']}: {row['error']}")
        for face in row["faces"]:
            share = 100 * face["probabilities"][face["emotion"]]
            lines.append(f"{row['file']}: {face['emotion']} ({share:.0f} %) at {face['box']}")
    return "\n".join(lines)


def report(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.evaluation.report_html import export_report
    from fer.runs import open_run

    runs = [open_run(key) for key in options.run_keys]
    written = export_report(
        [run.directory for run in runs], options.out, None, options.split, progress=progress
    )
    return {"out": str(written), "bytes": written.stat().st_size, "runs": [run.id for run in runs]}


def export(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.prediction.export import export_run
    from fer.runs import open_run

    return export_run(open_run(options.run_key), options.out, options.format)


def starter(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.prediction.packaging import package_run
    from fer.runs import open_run

    source = open_run(options.temperature_from) if options.temperature_from else None
    target = Path(options.out) if options.out else None
    return package_run(open_run(options.run_key), target, source, options.precision, progress)


def _starter_text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['out']}: {result['bytes'] / 1e6:.2f} MB, weights as {result['precision']}, "
        f"temperature {result['temperature']:.3f}"
    ]
    for part, score in result["card"]["scores"].items():
        without = score["accuracy_without_leaks"]
        lines.append(
            f"{part}: accuracy {score['accuracy']:.4f} [{score['interval'][0]:.4f}, "
            f"{score['interval'][1]:.4f}], without leaked images "
            + ("–" if without is None else f"{without:.4f}")
            + f", calibration error {score['ece_before']:.4f} before, {score['ece']:.4f} after"
        )
    return "\n".join([*lines, "The model card is MODEL_CARD.md in that folder."])


def import_model(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.commands.training import run_summary
    from fer.models.foreign import import_model as bring

    run = bring(options.file, options.name, options.dataset, options.pixels, options.order, progress)
    return run_summary(run) | {"dataset": run.config["dataset"], "imported": run.config["imported"]}


def serve(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.prediction.service import serve as answer
    from fer.runs import open_run

    runs = [open_run(key) for key in options.model] if options.model else [_model_run(None)]
    answer(runs, options.host, options.port)
    return {"served": [run.id for run in runs]}


COMMANDS: tuple[Command, ...] = (
    Command(
        "evaluate",
        "score a run on a split",
        evaluate,
        _report_text,
        (
            RUN,
            argument("--dataset", metavar="D", help="another data set than the run's own"),
            argument("--split", default="test", help="train, validation, test, PublicTest or PrivateTest"),
        ),
    ),
    Command(
        "compare",
        "runs side by side, with significance",
        compare,
        _compare_text,
        (
            argument("run_keys", metavar="RUN", nargs="+"),
            argument("--dataset", metavar="D", help="another data set than the runs' own"),
            argument("--split", default="test"),
        ),
    ),
    Command(
        "subgroups",
        "accuracy by group of images, against what the other groups predict for its expressions",
        subgroups,
        _subgroups_text,
        (
            argument("run_keys", metavar="RUN", nargs="+"),
            argument(
                "--by",
                required=True,
                metavar="ATTRIBUTE",
                help="brightness, contrast, sharpness, noise, or one of `attribute list`",
            ),
            argument("--dataset", metavar="D", help="another data set than the runs' own"),
            argument("--split", default="test"),
        ),
    ),
    Command(
        "explain",
        "heat map of one image",
        explain,
        as_document,
        (
            RUN,
            argument(
                "image", metavar="IMAGE", help="file, or number or name of an image of the run's data set"
            ),
            argument("--method", default="gradcam"),
            argument("--layer", help="layer to read; the model's default otherwise"),
            argument("--target", metavar="CLASS", help="class to explain; the predicted one otherwise"),
            argument("--out", required=True, metavar="PNG"),
        ),
    ),
    Command(
        "predict",
        "expressions of the faces in photos",
        predict,
        _predict_text,
        (
            argument("images", metavar="IMAGE", nargs="+"),
            argument("--model", metavar="RUN", help="run id or name; the starter or best run otherwise"),
        ),
    ),
    Command(
        "report",
        "one HTML file with tables, figures, commands and configurations",
        report,
        as_document,
        (
            argument("run_keys", metavar="RUN", nargs="+"),
            argument("--split", default="test"),
            argument("--out", required=True, metavar="HTML"),
        ),
    ),
    Command(
        "export",
        "take the model away",
        export,
        as_document,
        (
            RUN,
            argument("--format", choices=("keras", "onnx"), default="keras"),
            argument("--out", required=True, metavar="FILE"),
        ),
    ),
    Command(
        "starter",
        "make a finished run the model that comes with the program, with its model card",
        starter,
        _starter_text,
        (
            RUN,
            argument(
                "--temperature-from",
                metavar="RUN",
                help="run of the same recipe with a validation split, where RUN was trained on everything",
            ),
            argument("--precision", choices=("auto", "float32", "float16"), default="auto"),
            argument("--out", metavar="FOLDER", help="fer/prediction/starter, or FER_STARTER, otherwise"),
        ),
    ),
    Command(
        "import-model",
        "a network trained elsewhere, as a run; opened in a process of its own with limits",
        import_model,
        as_document,
        (
            argument("file", metavar="FILE", help="a .keras file of Keras 3: 48x48x1 in, seven classes out"),
            argument("--name", help="what to call the run"),
            argument("--dataset", metavar="D", help="data set to judge it on; the newest otherwise"),
            argument(
                "--pixels",
                default="0..1",
                choices=("0..1", "0..255", "-1..1"),
                help="range of the pixels it was trained on (write --pixels=-1..1)",
            ),
            argument(
                "--order",
                default="alphabetical",
                choices=("alphabetical", "fer2013.csv"),
                help="order of its seven outputs",
            ),
        ),
    ),
    Command(
        "serve",
        "predictions over HTTP for other programs; Ctrl-C ends it",
        serve,
        as_document,
        (
            argument("--model", metavar="RUN", action="append", help="run id or name; repeatable"),
            argument("--host", default="127.0.0.1", help="this computer only unless asked otherwise"),
            argument("--port", type=int, default=8765),
        ),
    ),
)
