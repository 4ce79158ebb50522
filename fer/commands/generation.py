"""Commands about generated faces: train a generator, draw with it."""

import argparse
from typing import Any

from fer.commands.base import DATASET, RUN, Command, Progress, argument, as_document
from fer.commands.training import _run_text, _settings, run_summary
from fer.errors import UserError


def diffusion(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.generation.config import RECIPE
    from fer.runs import create_run, run_here, submit

    config = _config(options)
    run = create_run(config.to_json(), kind="diffusion", name=options.name, recipe=RECIPE)
    if options.background:
        submit(run)
        return run_summary(run)
    run_here(run, progress=progress)
    status = run.status()
    if status.state not in ("finished", "stopped"):
        raise UserError(f"Run {run.id} {status.state}: {status.reason} {status.remedy}")
    return run_summary(run)


def _config(options: argparse.Namespace) -> Any:
    """The `DiffusionConfig` that the options ask for."""
    from fer.data.dataset import open_dataset
    from fer.emotions import EMOTIONS
    from fer.generation.config import DiffusionConfig
    from fer.recipes import recipe_config
    from fer.training.settings import set_value

    fingerprint = open_dataset(options.dataset).fingerprint
    content = DiffusionConfig(fingerprint).to_json()
    if options.classes:
        names = [name.strip() for name in options.classes.split(",")]
        content["classes"] = list(EMOTIONS) if names == ["all"] else names
    if options.split_of:
        content["split"] = recipe_config(options.split_of, fingerprint).split.to_json()
    for key in ("epochs", "batch_size", "schedule", "samples_every", "seed", "device", "limit"):
        if getattr(options, key) is not None:
            content[key] = getattr(options, key)
    for key, value in _settings(options.set).items():
        set_value(content, key, value)
    return DiffusionConfig.from_json(content)


def generate(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    import time
    from dataclasses import asdict
    from pathlib import Path

    import cv2

    from fer import storage
    from fer.generation.dataset import accept
    from fer.generation.generators import Generator, origins
    from fer.generation.quality import judge, near_distance, nearest
    from fer.generation.sheets import sheet
    from fer.runs import open_run

    run = open_run(options.run_key)
    generator = Generator(run, options.weights)
    emotion = options.emotion or generator.config.classes[0]
    started = time.perf_counter()
    settings = {key: getattr(options, key) for key in ("guidance", "steps", "seed", "method")}
    samples = generator.sample(emotion, options.count, progress=progress, **settings)
    seconds = time.perf_counter() - started
    training = generator.training_images(emotion)
    result: dict[str, Any] = {
        "run": run.id,
        "class": emotion,
        "count": len(samples.images),
        **samples.settings,
        "seconds": seconds,
        "nearest": [float(d) for d in nearest(training, samples.images)[1][:, 0]],
        "near_copy_below": near_distance(training) if len(training) > 2 else None,
        "out": "",
    }
    if options.out:
        encoded = cv2.imencode(".png", sheet(samples.images))[1].tobytes()
        storage.write_bytes(Path(options.out), encoded)
        result["out"] = str(options.out)
    if options.judge:
        quality = judge(run, samples.images, samples.classes, open_run(options.judge))
        result["quality"] = asdict(quality)
    if options.accept:
        numbers = list(range(len(samples.images)))
        made = accept(options.accept, run, samples.images, list(samples.classes), origins(samples, numbers))
        result["set"] = made.reference
        result["faces_in_set"] = len(made)
    return result


COMMANDS: tuple[Command, ...] = (
    Command(
        "diffusion",
        "train a generator of faces here, or hand it to the queue",
        diffusion,
        _run_text,
        (
            DATASET,
            argument("--classes", help="comma-separated, or all; one trains an unconditional one (disgust)"),
            argument("--split-of", metavar="RECIPE", help="leave out what this recipe validates on"),
            argument(
                "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. learning_rate=5e-4"
            ),
            argument("--epochs", type=int),
            argument("--batch-size", type=int),
            argument("--schedule", help="linear or cosine"),
            argument("--samples-every", type=int, help="epochs between two strips of samples"),
            argument("--seed", type=int),
            argument("--device", help="auto, cpu or gpu:N"),
            argument("--limit", type=int, help="learn from at most this many images"),
            argument("--name", help="what to call the run"),
            argument("--background", action="store_true", help="queue it and return"),
        ),
    ),
    Command(
        "generate",
        "draw faces with a generator",
        generate,
        as_document,
        (
            RUN,
            argument("--class", dest="emotion", help="the expression; by default the generator's first"),
            argument("--count", type=int, default=16),
            argument("--guidance", type=float, default=2.0, help="1 is none; for several classes only"),
            argument("--steps", type=int, default=50),
            argument("--method", default="ddim", help="ddim or ddpm"),
            argument("--seed", type=int, default=0),
            argument("--weights", default="best", help="best or last"),
            argument("--out", metavar="PNG", help="a grid of the faces"),
            argument("--judge", metavar="RUN2", help="measure the faces by this classifier's features"),
            argument("--accept", metavar="SET", help="add the faces to this set of generated faces"),
        ),
    ),
)
