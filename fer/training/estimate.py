"""How long a training will take on this machine, measured from a few of its own steps."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fer import backend
from fer.augmentation import AugmentationConfig
from fer.models import MODELS
from fer.training.config import TrainConfig


def estimate(config: TrainConfig, steps: int = 3) -> dict[str, Any]:
    """Seconds of a step, an epoch and the whole training, from `steps` steps of its first phase.

    Pretrained networks are timed with random weights, so nothing is downloaded. Imports Keras: call it
    in a process of its own (job kind `estimate`).

    Returns:
        `{seconds_per_step, seconds_per_epoch, seconds, images_per_second, epochs, steps, device, precision}`;
        `seconds` counts every epoch, though early stopping may end sooner.
    """
    from fer.training import network
    from fer.training.data import Batches, class_weights, load_data

    device = backend.select_device(config.device)
    policy = backend.choose_precision(config.precision, device, config.deterministic)
    if MODELS[config.model].pretrained:
        config = replace(config, model_options=config.model_options | {"weights": None})
    data = load_data(config)
    train = data.splits["train"]
    phase = config.phases[0]
    trainer = network.compile_for(network.build_network(config, policy), config, phase, policy)
    weights = class_weights(config, data.labels[train])
    batches = Batches(config, data, train, 0, phase.augment, weights)
    prepare = network.preparer(
        config.augmentation if phase.augment else AugmentationConfig(), bool(config.mixup or config.cutmix)
    )
    order, times = batches.order(0), []
    for step in range(steps + 1):  # the first compiles
        started = time.perf_counter()
        batch = batches.batch(order, 0, step % batches.steps)
        trainer.train_on_batch(prepare(batch), batch.targets, sample_weight=batch.weights, return_dict=True)
        times.append(time.perf_counter() - started)
    seconds = sorted(times[1:])[steps // 2]
    # An inference costs about a third of a training step: forward only.
    validation = seconds / config.batch_size * len(data.splits["validation"]) / 3
    epoch = seconds * batches.steps + validation
    return {
        "seconds_per_step": seconds,
        "seconds_per_epoch": epoch,
        "seconds": epoch * config.epochs,
        "images_per_second": config.batch_size / seconds,
        "epochs": config.epochs,
        "steps": batches.steps,
        "device": device,
        "precision": policy,
    }


def run(
    config: dict[str, Any],
    directory: Path,
    progress: Callable[[float, str], None] | None,
    should_stop: Callable[[], bool] | None,
) -> dict[str, Any]:
    """The job `estimate` of `fer.runs`: a training config's JSON in, the estimate as metrics."""
    return {"stopped": False, "metrics": estimate(TrainConfig.from_json(config))}
