"""Commands about recipes, trainings and the queue."""

import argparse
from typing import Any

from fer.commands.base import RUN, Command, Progress, argument, as_document, as_lines
from fer.errors import UnknownName, UserError


def recipes(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from fer.recipes import RECIPES

    rows: list[dict[str, Any]] = [
        {
            "recipe": recipe.name,
            "study": recipe.study,
            "model": recipe.model,
            "parameters": recipe.parameters,
            "reported": recipe.reported,
        }
        for recipe in RECIPES.values()
    ]
    if options.dataset:
        _add_measured(rows, options.dataset)
    return rows


def _add_measured(rows: list[dict[str, Any]], key: str) -> None:
    """What a data set's runs measured of each recipe, and how long it is expected to take here."""
    from fer.data.dataset import open_dataset
    from fer.estimates import expected_times
    from fer.measured import main_figure, measured
    from fer.recipes import RECIPES

    fingerprint = open_dataset(key).fingerprint
    here, times = measured(fingerprint), expected_times(fingerprint).known
    for row in rows:
        figure = main_figure(RECIPES[row["recipe"]])
        standing = here.get(row["recipe"])
        found = standing.main if standing else None
        expected = times.get(row["recipe"])
        row |= {
            "figure": figure,
            "runs": len(found.runs) if found else 0,
            "how": found.how if found else None,
            "mean": found.mean(figure) if found else None,
            "interval": found.interval(figure) if found else None,
            "best": found.best(figure) if found else None,
            "accuracy_without_leaks": found.mean("accuracy_without_leaks") if found else None,
            "expected_seconds": expected.seconds if expected else None,
        }


def model(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.models import model_spec
    from fer.models.summary import diagram_dot, layer_table
    from fer.recipes import recipe_config
    from fer.training.network import backbone_of

    if bool(options.model) == bool(options.recipe):
        raise UserError("Name a model, or a recipe with --recipe, and not both.")
    config = recipe_config(options.recipe, "none") if options.recipe else None
    spec = model_spec(config.model if config else options.model)
    settings: dict[str, Any] = {}
    if config:
        settings = {"classes": len(config.classes), "preprocessing": config.preprocessing}
        settings |= config.model_options
    network = spec.build(**(settings | spec.offline_options))
    numbers = {layer.name: number for number, layer in backbone_of(network).items()}
    rows = [{"number": numbers.get(row["name"])} | row for row in layer_table(network)]
    if config:
        trained = _trained_in(config, network)
        rows = [row | {"phases": trained[row["name"]]} for row in rows]
    return {
        "model": spec.name,
        "recipe": options.recipe,
        "parameters": network.count_params(),
        "dot": diagram_dot(network),
        "layers": rows,
    }


def _trained_in(config: Any, network: Any) -> dict[str, list[int]]:
    """`{layer: numbers, from 1, of the phases that train its weights}`."""
    from fer.training.network import set_trainable

    found: dict[str, list[int]] = {layer.name: [] for layer in network.layers}
    for number, phase in enumerate(config.all_phases, 1):
        set_trainable(network, phase)
        for layer in network.layers:
            alone = phase.images == "smote" and layer.name != "logits"  # SMOTE trains the last layer only
            if layer.trainable_weights and not alone:
                found[layer.name].append(number)
    return found


def _model_text(result: dict[str, Any]) -> str:
    keys = ("number", "name", "type", "output_shape", "parameters")
    rows = [{key: row[key] for key in keys} for row in result["layers"]]
    return f"{as_lines(rows)}\n{result['parameters']:,} parameters"


def train(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.data.dataset import open_dataset
    from fer.recipes import recipe_config
    from fer.runs import create_run, submit

    settings = _settings(options.set)
    for key in ("epochs", "limit", "device", "seed"):
        if getattr(options, key) is not None:
            settings[key] = str(getattr(options, key))
    config = recipe_config(options.recipe, open_dataset(options.dataset).fingerprint, **settings)
    if options.seeds != 1:
        return _train_seeds(config, options, progress)
    run = create_run(config.to_json(), kind="train", name=options.name, recipe=options.recipe)
    if options.background:
        submit(run)
    else:
        _train_here(run, progress)
    return run_summary(run)


def _train_here(run: Any, progress: Progress) -> str:
    """Train in this process; `finished` or `stopped`, any other end is an error."""
    from fer.runs import run_here

    run_here(run, progress=progress)
    status = run.status()
    if status.state not in ("finished", "stopped"):
        raise UserError(f"Run {run.id} {status.state}: {status.reason} {status.remedy}")
    return status.state


def _train_seeds(config: Any, options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """The same over several seeds: into the queue, or here one after the other until one is stopped."""
    from dataclasses import asdict

    from fer import seeds
    from fer.runs import submit

    made = []
    for run in seeds.make(config, options.seeds, options.name or ""):
        made.append(run)
        if options.background:
            submit(run)
        elif _train_here(run, progress) == "stopped":
            break
    (spread,) = seeds.spreads(seeds.group_of(made[0]))
    return asdict(spread) | {"runs": [run_summary(run) for run in made]}


def _train_text(result: dict[str, Any]) -> str:
    if "runs" not in result:
        return _run_text(result)
    figures = {key: value for key, value in result.items() if key != "runs"}
    return "\n".join([*map(_run_text, result["runs"]), _seeds_text([figures])])


def _seeds_text(rows: list[dict[str, Any]]) -> str:
    return as_lines(rows, "mean ± sample standard deviation over the finished seeds, on the test images")


def seeds(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from fer.seeds import spreads

    return [asdict(spread) for spread in spreads(options.group or "")]


def _settings(pairs: list[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UserError(f"--set {pair!r} is not key=value; for example --set learning_rate=0.001.")
        settings[key.strip()] = value.strip()
    return settings


def ablate(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer import ablation_ingredients, ablations
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
    if options.make:
        identifier, job = ablation_ingredients.queue(config, options.make, options.seeds, selection, denoised)
        return {"ablation": identifier, "made_first_by": job.id}
    identifier = ablations.start(config, options.seeds, selection, denoised)
    rows = ablations.table(identifier)
    return {"ablation": identifier, "variants": {row.variant: row.planned for row in rows}}


def ablation(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from fer import ablation_ingredients, ablations

    rows = ablations.remedies_table if options.ablation.startswith(ablations.REMEDIES) else ablations.table
    found = [asdict(row) for row in rows(options.ablation)]
    if not found and (job := ablation_ingredients.job_of(options.ablation)):
        raise UserError(
            f"The ablation {options.ablation!r} has no trainings yet: its ingredients are made first by the "
            f"job {job.id}, which is {job.status().state!r}. Look at it: python -m fer show {job.id}"
        )
    if not found:
        known = [*ablations.identifiers(), *ablations.identifiers(of_remedies=True)]
        raise UnknownName("ablation", options.ablation, known)
    return found


def _ablation_text(rows: list[dict[str, Any]]) -> str:
    note = (
        "means over the finished seeds, on the test images of each variant's data set; ± and interval: half "
        "of the 95 % interval (Student's t)"
    )
    return as_lines(rows, note)


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
    Command(
        "recipes",
        "list what can be trained",
        recipes,
        as_lines,
        (argument("--dataset", metavar="D", help="also what was measured on it, and the expected times"),),
    ),
    Command(
        "model",
        "layers of a network",
        model,
        _model_text,
        (
            argument("model", metavar="MODEL", nargs="?"),
            argument("--recipe", metavar="RECIPE", help="the network this recipe trains"),
        ),
    ),
    Command(
        "train",
        "train a recipe here, or hand it to the queue",
        train,
        _train_text,
        (
            argument("recipe", metavar="RECIPE"),
            argument("--dataset", required=True, metavar="D", help="name or fingerprint"),
            argument(
                "--set", action="append", default=[], metavar="key=value", help="change a setting; repeatable"
            ),
            argument("--epochs", type=int),
            argument(
                "--limit", type=int, help="use at most this many training images, and as many to validate on"
            ),
            argument("--seed", type=int),
            argument("--device", help="auto, cpu or gpu:N"),
            argument("--name", help="what to call the run"),
            argument("--seeds", type=int, default=1, help="so many runs that differ in their seed only"),
            argument("--background", action="store_true", help="queue it and return"),
        ),
    ),
    Command(
        "seeds",
        "mean ± standard deviation of trainings over several seeds",
        seeds,
        _seeds_text,
        (argument("group", metavar="ID", nargs="?", help="of train --seeds; without it all of them"),),
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
                "--make",
                action="append",
                default=[],
                choices=("denoised", "outliers"),
                help="first make a denoised copy, or drop the autoencoder's strangest 2 %%; repeatable",
            ),
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
        "ablation",
        "results of an ablation so far",
        ablation,
        _ablation_text,
        (argument("ablation", metavar="ID"),),
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
