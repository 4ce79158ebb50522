"""Explanations of a run's network for images of a data set, computed once and kept with the run.

An uploaded face goes to `fer.explanation.explain` instead, which keeps nothing.
"""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.predictions import check_classes, load_network
from fer.evaluation.trained import TrainedRun, trained_run
from fer.explanation.explain import Explanation, explain, explain_many
from fer.explanation.methods import find_method
from fer.explanation.render import heat_shares, mean_map
from fer.storage import replacing

if TYPE_CHECKING:
    import keras

Progress = Callable[[float, str], None]
MEAN_IMAGES = 50
FORMAT = 1  # of the stored maps; another one is not found, so made again


def explain_run(
    run: Any,
    dataset: Dataset,
    index: int,
    method: str = "gradcam",
    layer: str | None = None,
    target: str | None = None,
    model: "keras.Model | Callable[[], keras.Model] | None" = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Explanation:
    """`explain` for image `index` of `dataset`; a stored result needs neither the network nor TensorFlow.

    Args:
        run: a run directory or anything with `directory`.
        model: the run's network, or a function that returns it, called only when needed.
    """
    run = trained_run(run)
    method = find_method(method).name
    path = _path(run, bytes(dataset.hashes[index]).hex(), method, layer, target)
    stored = _read(path)
    if stored is None:
        network = _network(run, model)
        stored = explain(
            network, dataset.images[index], method, layer, target, run.classes, progress, should_stop
        )
        _write(path, stored)
    return stored


def mean_explanation(
    run: Any,
    dataset: Dataset,
    emotion: str,
    method: str = "gradcam",
    layer: str | None = None,
    images: int = MEAN_IMAGES,
    split: str = "test",
    model: "keras.Model | Callable[[], keras.Model] | None" = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Where the network looks for one emotion: the mean map over images of that class.

    Returns:
        `heatmap` (48, 48) float32, `images` (how many), `shares` (of `heat_shares`), `layer`.
    """
    run = trained_run(run)
    method = find_method(method).name
    indices = run.indices(dataset, split)
    indices = indices[dataset.labels[indices] == EMOTIONS.index(emotion)]
    indices = np.sort(np.random.default_rng(0).permutation(indices)[:images])
    if len(indices) == 0:
        raise UserError(
            f"Split {split!r} of data set {dataset.name!r} has no image of {emotion} for this run."
        )
    key = hashlib.sha256(np.ascontiguousarray(dataset.hashes[indices]).tobytes()).hexdigest()
    path = _path(run, key, f"mean {method}", layer, emotion)
    stored = _read(path)
    if stored is None:
        network = _network(run, model)
        found = explain_many(
            network,
            dataset.images[indices],
            method,
            layer,
            [emotion] * len(indices),
            run.classes,
            progress,
            should_stop,
        )
        heat = mean_map([one.heatmap for one in found])
        mean = {name: float(np.mean([e.probabilities[name] for e in found])) for name in run.classes}
        stored = Explanation(heat, method, found[0].layer, emotion, mean)
        _write(path, stored)
    return {
        "heatmap": stored.heatmap,
        "images": len(indices),
        "shares": heat_shares(stored.heatmap),
        "layer": stored.layer,
    }


def class_picture(
    run: Any,
    target: str,
    model: "keras.Model | None" = None,
    steps: int = 200,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Explanation | None:
    """The stored picture of `maximise_class` for one class; with `model`, made when it is missing.

    `heatmap` is the picture, `probabilities` what the network answers to it.
    """
    run = trained_run(run)
    path = _path(run, "", "maximise", None, target)
    stored = _read(path)
    if stored is None and model is not None:
        from fer.evaluation.inference import compiled_predict
        from fer.explanation.maximisation import maximise_class

        picture = maximise_class(model, target, steps, run.classes, 0, progress, should_stop)
        answers = compiled_predict(model, picture[None, ..., None])[0]
        names = dict(zip(run.classes, map(float, answers), strict=True))
        stored = Explanation(picture, "maximise", "", target, names)
        _write(path, stored)
    return stored


def strip_order(explanations: list[Explanation]) -> list[int]:
    """Numbers of the explanations, those that disagree most with the mean answer first."""
    names = list(explanations[0].probabilities) if explanations else []
    answers = np.array([[e.probabilities.get(name, 0.0) for name in names] for e in explanations])
    distance = np.abs(answers - answers.mean(axis=0)).sum(axis=1) if len(answers) else answers
    return [int(n) for n in np.argsort(-distance, kind="stable")]


def _network(run: TrainedRun, model: Any) -> "keras.Model":
    import keras

    network = model if isinstance(model, keras.Model) else model() if model else load_network(run)
    check_classes(run, network)
    return network


def _path(run: TrainedRun, image: str, method: str, layer: str | None, target: str | None) -> Path:
    key = "\0".join([f"format {FORMAT}", run.stamp, image, method, layer or "", target or ""])
    return run.results / "explanations" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def _read(path: Path) -> Explanation | None:
    if not path.exists():
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            names = [str(name) for name in stored["classes"]]
            return Explanation(
                heatmap=stored["heatmap"],
                method=str(stored["method"]),
                layer=str(stored["layer"]),
                target=str(stored["target"]),
                probabilities=dict(zip(names, stored["probabilities"].tolist(), strict=True)),
            )
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        return None  # made again, and replaced


def _write(path: Path, explanation: Explanation) -> None:
    content = asdict(explanation)
    answers = content.pop("probabilities")
    with replacing(path) as temporary:
        np.savez(temporary, **content, classes=list(answers), probabilities=list(answers.values()))
