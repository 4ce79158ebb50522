"""Commands about recipes, trainings and the queue."""

import argparse
from typing import Any

from fer.commands.base import RUN, Command, Progress, argument, as_document, as_lines
from fer.errors import UnknownName, UserError


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
    return f"{as_lines(rows)}\n{result['parameters']:,} parameters"


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


def ablate(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer import ablations
    from fer.data.dataset import open_dataset
    from fer.data.selection import open_selection
    from fer.recipes import recipe_config

    dataset = open_dataset(options.dataset)
    config = recipe_config(options.recipe, dataset.fingerprint, **_settings(options.set))
    selection = open_selection(dataset, options.selection).reference if options.selection else ""
    denoised = open_dataset(options.denoised).fingerprint if options.denoised else ""
    if options.generated:
        identifier = ablations.start_remedies(config, options.generated, options.seeds, options.emotion)
        planned = {row.variant: row.planned for row in ablations.remedies_table(identifier)}
        return {"ablation": identifier, "variants": planned}
    identifier = ablations.start(config, options.seeds, selection, denoised)
    rows = ablations.table(identifier)
    return {"ablation": identifier, "variants": {row.variant: row.planned for row in rows}}


def ablation(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from fer import ablations

    rows = ablations.remedies_table if options.ablation.startswith(ablations.REMEDIES) else ablations.table
    found = [asdict(row) for row in rows(options.ablation)]
    if not found:
        known = [*ablations.identifiers(), *ablations.identifiers(of_remedies=True)]
        raise UnknownName("ablation", options.ablation, known)
    return found


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
    planned = f" of {result['epochs']}" if result["epochs"] else ""  # other jobs do not say how many
    epoch = f", epoch {result['epoch']}{planned}" if planned or result["epoch"] else ""
    line = f"{result['run']}: {result['state']}{epoch}. {result['reason']}"
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


def queue(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from fer.runs import list_runs, move, open_run, pause, statuses

    if options.verb in ("pause", "continue"):
        pause(open_run(options.run_key) if options.run_key else None, paused=options.verb == "pause")
    elif options.verb == "move":
        if not options.run_key or options.position is None:
            raise UserError("Name the run and its place: python -m fer queue move RUN --position 1.")
        move(open_run(options.run_key), options.position)
    known = {run.id: run for run in list_runs()}
    waiting = [(s.position, i, s) for i, s in statuses(known.values()).items() if s.state == "queued"]
    waiting.sort(key=lambda item: (item[0] is None, item[0], item[1]))
    return [
        {"position": position, "run": i, "paused": status.paused, "reason": status.reason}
        for position, i, status in waiting
    ]


def remove(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.runs import open_run
    from fer.runs import remove as remove_run

    run = open_run(options.run_key)
    summary = run_summary(run)
    remove_run(run)
    return summary | {"removed": True}


COMMANDS: tuple[Command, ...] = (
    Command("recipes", "list what can be trained", recipes, as_lines),
    Command("model", "layers of a network", model, _model_text, (argument("model", metavar="MODEL"),)),
    Command(
        "train",
        "train a recipe here, or hand it to the queue",
        train,
        _run_text,
        (
            argument("recipe", metavar="RECIPE"),
            argument("--dataset", required=True, metavar="D", help="name or fingerprint"),
            argument(
                "--set", action="append", default=[], metavar="key=value", help="change a setting; repeatable"
            ),
            argument("--epochs", type=int),
            argument("--limit", type=int, help="use at most this many training images"),
            argument("--seed", type=int),
            argument("--device", help="auto, cpu or gpu:N"),
            argument("--name", help="what to call the run"),
            argument("--background", action="store_true", help="queue it and return"),
        ),
    ),
    Command(
        "ablate",
        "queue a recipe with and without each ingredient, over several seeds",
        ablate,
        as_document,
        (
            argument("recipe", metavar="RECIPE"),
            argument("--dataset", required=True, metavar="D"),
            argument("--seeds", type=int, default=3),
            argument("--selection", help="selection for the variant without outliers"),
            argument("--denoised", metavar="D2", help="denoised copy for that variant"),
            argument(
                "--generated",
                metavar="SET",
                help="instead: nothing, class weights, oversampling, SMOTE and this set of generated faces",
            ),
            argument("--class", dest="emotion", default="disgust", help="the class they are of"),
            argument("--set", action="append", default=[], metavar="key=value"),
        ),
    ),
    Command(
        "ablation", "results of an ablation so far", ablation, as_lines, (argument("ablation", metavar="ID"),)
    ),
    Command("runs", "list runs", runs, as_lines),
    Command("show", "one run", show, _run_text, (RUN,)),
    Command("stop", "stop a run; its best model is kept", stop, _run_text, (RUN,)),
    Command("resume", "continue a run from its last complete epoch", resume, _run_text, (RUN,)),
    Command(
        "queue",
        "what waits, in order; pause, continue or move",
        queue,
        as_lines,
        (
            argument("verb", choices=("show", "pause", "continue", "move"), nargs="?", default="show"),
            argument("run_key", metavar="RUN", nargs="?"),
            argument("--position", type=int, help="1 is next"),
        ),
    ),
    Command("remove", "move a run to the trash", remove, _run_text, (RUN,)),
)
