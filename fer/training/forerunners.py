"""Runs that a training builds on: the one its weights or features come from, and teachers that soften labels.

Distillation (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"): a network is trained on
what others answer, not on the labels alone. On FER-2013, whose labels people agree with about 65 % of the
time, the answers say which faces are ambiguous. The teachers answer each training image once, un-augmented,
mean over the image and its mirror image (expressions have no left and right): a step costs no more than
without teachers.

A forerunner must not have trained on this run's validation images: what it knows of them would come along.
"""

import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer.errors import UnknownName, UserError
from fer.evaluation.trained import TrainedRun, trained_run
from fer.runs.files import built_on
from fer.storage import replacing
from fer.training.config import TrainConfig
from fer.training.data import TrainingData
from fer.training.smote import check_base

ANSWERS = "teachers.npz"
_BATCH = 256


def forerunners(config: TrainConfig, data: TrainingData) -> list[TrainedRun]:
    """The runs `config` builds on, each once, checked.

    Raises:
        UserError: no such run, none of its epochs is complete, it knows other classes, it was trained on
            images that validate this run, or `check_base` refuses it.
    """
    from fer.runs import open_run

    if config.smote:
        check_base(config, data.selection)
    own = data.dataset.hashes[data.splits["train"]]
    validating = data.dataset.hashes[data.splits["validation"]]
    found: dict[str, TrainedRun] = {}
    for key in built_on(config.to_json()):
        run = open_run(key)
        if run.id in found:
            continue
        if run.status().active:
            raise UserError(f"Run {run.name!r} is still training; wait for it, then build on it.")
        found[run.id] = trained = trained_run(run)
        trained.stamp  # noqa: B018  # a run without a network says so here
        if trained.classes != config.classes:
            raise UserError(
                f"Run {run.name!r} tells {', '.join(trained.classes)} apart and this training "
                f"{', '.join(config.classes)}; both need the same classes."
            )
        if key == config.smote:
            continue  # the same images train and validate both, as `check_base` saw to
        # Copies that train here too, where the split allows that, are no news from that run.
        shared = np.isin(validating, trained_on(trained, data)) & ~np.isin(validating, own)
        if shared.any():
            raise UserError(
                f"Run {run.name!r} was trained on {int(shared.sum())} of the {len(shared)} images that "
                "validate this training, so its accuracy there would mean nothing. Give both the same split."
            )
    return list(found.values())


def trained_on(run: TrainedRun, data: TrainingData) -> np.ndarray:
    """(M,) V16 hashes of the pixels that the run, and what it built on, trained on.

    Of another data set, where that cannot be told from what it validated on, those too.

    Raises:
        UserError: the run does not record them.
    """
    from fer.runs import open_run

    if run.hashes is None:
        raise UserError(f"Run {run.name!r} does not record the images it saw; build on another.")
    if run.fingerprint != data.dataset.fingerprint or "train" not in run.splits:
        return run.hashes
    own = data.dataset.hashes[run.splits["train"]]
    found = [own]
    for key in built_on(run.config):
        try:
            found.append(trained_on(trained_run(open_run(key)), data))
        except UnknownName:  # deleted since; it had not trained on what validated this one, or was refused
            validated = data.dataset.hashes[run.splits.get("validation", [])]
            known = np.isin(run.hashes, validated) & ~np.isin(run.hashes, own)
            found.append(run.hashes[~known])
    return np.concatenate(found)


def seen_by(runs: list[TrainedRun]) -> list[np.ndarray]:
    """Hashes of all pixels the runs saw: they count as seen by what builds on them."""
    return [run.hashes for run in runs if run.hashes is not None]


def take_weights(model: keras.Model, config: TrainConfig) -> None:
    """Start `model` from the best weights of the run `config.initial`.

    Raises:
        UserError: that run has another network.
    """
    from fer.models.loading import load_model
    from fer.runs import open_run

    run = trained_run(open_run(config.initial))
    weights = load_model(run.model_path).get_weights()
    shapes = [tuple(variable.shape) for variable in model.weights]
    if [values.shape for values in weights] != shapes:
        raise UserError(
            f"Run {run.name!r} has another network ({run.config.get('model')}) than {config.model} as it is "
            "set here, so its weights do not fit. Give both the same model and options."
        )
    model.set_weights(weights)


def soft_labels(
    config: TrainConfig,
    data: TrainingData,
    directory: Path,
    should_stop: Callable[[], bool],
    show: Callable[[str], None],
) -> np.ndarray | None:
    """(N + G, K) float32: the teachers' mean answer for each image that trains, NaN for the others.

    Kept in `directory`, so that a resumed run trains on the same ones. None if stopped.
    """
    from fer.evaluation.predictions import load_network
    from fer.runs import open_run
    from fer.training.network import predict

    indices = data.trained_on
    answers = _stored(directory / ANSWERS, indices, len(config.classes))
    if answers is None:
        answers = np.zeros((len(indices), len(config.classes)), np.float32)
        shares = Counter(config.teachers)  # one named twice counts twice, and is asked once
        for number, (key, times) in enumerate(shares.items()):
            show(f"asking teacher {number + 1} of {len(shares)}")
            teacher = load_network(trained_run(open_run(key)))
            for mirrored in (False, True):
                images = data.images[indices]
                images = images[:, :, ::-1] if mirrored else images
                part = predict(teacher, images, _BATCH, should_stop)
                if part is None:
                    return None
                answers += part * np.float32(times / (2 * len(config.teachers)))
        with replacing(directory / ANSWERS) as path:
            np.savez(path, indices=indices, answers=answers)
    soft = np.full((len(data.images), len(config.classes)), np.nan, np.float32)
    soft[indices] = answers
    return soft


def _stored(path: Path, indices: np.ndarray, classes: int) -> np.ndarray | None:
    """What an earlier start of this run was answered; None when that has to be asked (again)."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            stored: dict[str, Any] = dict(content)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None  # damaged: the teachers answer the same again
    fits = np.array_equal(stored["indices"], indices) and stored["answers"].shape == (len(indices), classes)
    return stored["answers"] if fits else None
