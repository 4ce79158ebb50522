"""How long a training will take on this machine, measured from a few of its own steps in every phase."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from fer import backend
from fer.augmentation import AugmentationConfig
from fer.models import MODELS
from fer.training.config import TrainConfig
from fer.training.phase import Phase

if TYPE_CHECKING:
    import keras

    from fer.training.data import TrainingData

Progress = Callable[[float, str], None]


def estimate(
    config: TrainConfig,
    steps: int = 3,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Seconds of every phase and of the whole training; {} when stopped.

    Phases that train other layers, vary their images or not, or have another optimizer cost differently:
    each such kind is timed by `steps` steps after one that compiles. Validation is timed as prediction.
    Pretrained networks are timed with random weights, so nothing is downloaded. Imports Keras: call it in
    a process of its own (job kind `estimate`).

    Returns:
        `seconds`: all epochs with their validation; `overhead`: what compiles, and the last evaluation;
        `seconds_per_step, seconds_per_epoch, steps, images_per_second` of the first phase;
        `validation_seconds` of an epoch; `phases`: `[{name, epochs, seconds_per_step, seconds_per_epoch,
        steps}]`; `at_most`: why it may take less time, '' if it cannot; `random_weights`; `epochs`,
        `device`, `precision`. An epoch on hard samples counts as one on all images: how many will be
        wrong is not known yet.
    """
    from fer.training import network
    from fer.training.data import load_data

    device = backend.select_device(config.device)
    policy = backend.choose_precision(config.precision, device, config.deterministic)
    pretrained = MODELS[config.model].pretrained
    if pretrained:
        config = replace(config, model_options=config.model_options | {"weights": None})
    data = load_data(config)
    model = network.build_network(config, policy)
    phases: list[dict[str, Any]] = []
    known: dict[tuple[Any, ...], tuple[float, float]] = {}
    starting = 0.0
    for number, phase in enumerate(config.all_phases):
        if should_stop is not None and should_stop():
            return {}
        if progress is not None:
            progress(number / (len(config.all_phases) + 1), f"Timing phase {phase.name}")
        kind = (phase.trainable, _varies(config, phase), phase.optimizer, phase.images == "smote")
        count = _steps(config, data, phase)
        if kind not in known:
            known[kind] = _timed(config, data, model, policy, number, steps)
        first, step = known[kind]
        starting += first
        phases.append({"name": phase.name, "epochs": phase.epochs, "seconds_per_step": step, "steps": count})
    if progress is not None:
        progress(len(phases) / (len(phases) + 1), "Timing validation")
    image = _seconds_per_prediction(config, data, model, steps)
    validation = image * len(data.splits["validation"])
    for row in phases:
        row["seconds_per_epoch"] = row["seconds_per_step"] * row["steps"] + validation
    settling = image * len(data.splits["train"]) if config.settle else 0.0
    return {
        "seconds": sum(row["seconds_per_epoch"] * row["epochs"] for row in phases),
        "overhead": starting + validation + image * len(data.splits["test"]) + settling,
        "seconds_per_step": phases[0]["seconds_per_step"],
        "seconds_per_epoch": phases[0]["seconds_per_epoch"],
        "validation_seconds": validation,
        "images_per_second": config.batch_size / phases[0]["seconds_per_step"],
        "epochs": config.epochs,
        "steps": phases[0]["steps"],
        "phases": phases,
        "at_most": _at_most(config),
        "random_weights": pretrained,
        "device": device,
        "precision": policy,
    }


def run(
    config: dict[str, Any],
    directory: Path,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> dict[str, Any]:
    """The job `estimate` of `fer.runs`: a training config's JSON in, the estimate as metrics.

    `other_runs` in them is how many other jobs shared the machine, at the start or at the end, and
    `processor_busy` the share of its processor that was taken before this job began to compute.
    """
    before, busy = _others(directory), psutil.cpu_percent(interval=0.5) / 100
    found = estimate(TrainConfig.from_json(config), progress=progress, should_stop=should_stop)
    if not found:
        return {"stopped": True, "metrics": {}}
    load = {"other_runs": max(before, _others(directory)), "processor_busy": busy}
    return {"stopped": False, "metrics": found | load}


def _others(directory: Path) -> int:
    """How many other jobs run now."""
    from fer.runs import list_runs, statuses

    known = statuses(list_runs())
    return sum(status.state == "running" for key, status in known.items() if key != directory.name)


def _at_most(config: TrainConfig) -> str:
    reasons = []
    if any(phase.images == "hard" for phase in config.all_phases):
        reasons.append("how many samples will be hard is not known yet")
    if config.early_stopping_patience:
        reasons.append("early stopping may end a phase sooner")
    return " and ".join(reasons)


def _varies(config: TrainConfig, phase: Phase) -> bool:
    return phase.augment and config.augmentation.active


def _steps(config: TrainConfig, data: "TrainingData", phase: Phase) -> int:
    """Steps of an epoch of the phase."""
    from fer.training.data import oversampled

    images = data.trained_on
    count = len(images)
    if config.on_features(phase):  # every class is grown to the largest
        labels = data.labels[data.splits["train"]]
        count = len(config.classes) * int(np.bincount(labels, minlength=len(config.classes)).max())
    elif phase.images == "all":
        count = len(oversampled(config, images, data.labels))
    return -(-count // config.batch_size)


def _timed(
    config: TrainConfig, data: "TrainingData", model: "keras.Model", policy: str, number: int, steps: int
) -> tuple[float, float]:
    """(seconds of the first step, which compiles; median seconds of the others) of a phase."""
    from fer.training import network
    from fer.training.ahead import ahead
    from fer.training.smote import trained_part

    phase = config.all_phases[number]
    started = time.perf_counter()
    trained, compiled = trained_part(model, config, phase)
    trainer = network.compile_for(trained, config, compiled, policy)
    make = _features(config, trained) if config.on_features(phase) else _images(config, data, number)
    times = []
    for _, (batch, images) in ahead(make, 0, steps + 1):
        trainer.train_on_batch(images, batch.targets, sample_weight=batch.weights, return_dict=True)
        times.append(time.perf_counter() - started)
        started = time.perf_counter()
    return times[0], sorted(times[1:])[steps // 2]


def _images(config: TrainConfig, data: "TrainingData", number: int) -> Callable[[int], Any]:
    """A function from a step to (batch, network input), as the training makes them."""
    from fer.training import network
    from fer.training.data import Batches, class_weights

    phase, train = config.all_phases[number], data.trained_on
    weights = class_weights(config, data.labels[train])
    batches = Batches(config, data, train, number, phase.augment, weights)
    augmentation = config.augmentation if phase.augment else AugmentationConfig()
    prepare = network.preparer(augmentation, bool(config.mixup or config.cutmix))
    order = batches.order(0)

    def make(step: int) -> Any:
        batch = batches.batch(order, 0, step % batches.steps)
        return batch, prepare(batch)

    return make


def _features(config: TrainConfig, head: "keras.Model") -> Callable[[int], Any]:
    """Batches of empty features: the time of a step does not depend on their values."""
    from fer.training.data import Batch

    features = np.zeros((config.batch_size, *head.input_shape[1:]), np.float32)
    targets = np.eye(len(config.classes), dtype=np.float32)[np.zeros(config.batch_size, int)]
    weights = np.ones(config.batch_size, np.float32)
    batch = Batch(features, weights, targets, weights)
    return lambda step: (batch, features)


def _seconds_per_prediction(
    config: TrainConfig, data: "TrainingData", model: "keras.Model", steps: int
) -> float:
    """Seconds of an image of the validation, by batches of the size that validation has."""
    from fer.training.network import predict

    size = min(max(2 * config.batch_size, 32), 256)
    images = np.resize(data.images[data.splits["validation"]], (size, *data.images.shape[1:]))
    times = []
    for _ in range(steps + 1):  # the first compiles
        started = time.perf_counter()
        predict(model, images, size, lambda: False)
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[steps // 2] / size
