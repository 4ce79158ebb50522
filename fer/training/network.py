"""A config's network made ready for one phase: built, frozen where asked, compiled; its batches prepared."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from fer import backend
from fer.augmentation import AugmentationConfig
from fer.augmentation.layer import Augment, Mix
from fer.errors import UserError
from fer.models import MODELS
from fer.training.config import TrainConfig
from fer.training.data import Batch
from fer.training.phase import Phase

NO_DECAY = frozenset({"bias", "gamma", "beta", "embedding", "token"})  # names of variables


def build_network(config: TrainConfig, policy: str) -> keras.Model:
    """The config's model with fresh (or pretrained) weights under a Keras dtype policy.

    Raises:
        UserError: options that do not fit, weights that cannot be had.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = MODELS[config.model].build(
            classes=len(config.classes), preprocessing=config.preprocessing, **config.model_options
        )
    finally:
        keras.config.set_dtype_policy(before)
    backend.fuse_normalization(model)
    return model


def check_phases(config: TrainConfig, model: keras.Model) -> None:
    """Raise `UserError` if a phase names layers the model does not have, or trains nothing."""
    for phase in config.all_phases:
        set_trainable(model, phase)
        if not model.trainable_variables:
            raise UserError(f"Phase {phase.name!r} trains nothing: {phase.trainable!r} has no weights.")
    set_trainable(model, Phase())  # all of it, as before


def set_trainable(model: keras.Model, phase: Phase) -> None:
    """Freeze and unfreeze the layers of `model` as `phase.trainable` says.

    A frozen BatchNormalization also uses its stored statistics (Keras does so).
    """
    backbone = backbone_of(model)
    inside = {id(layer) for layer in backbone.values()}
    chosen = phase.layer_range()
    if chosen is not None:
        count = max(backbone, default=-1) + 1
        if chosen[1] > count:
            raise UserError(
                f"Phase {phase.name!r} trains layers {chosen[0]}-{chosen[1]}, but the backbone of "
                f"{model.name} has {count} layers; give a range within 0-{count}."
            )
        unfrozen = {id(layer) for n, layer in backbone.items() if chosen[0] <= n < chosen[1]}
    for layer in model.layers:
        if phase.trainable == "all":
            layer.trainable = True
        elif phase.trainable == "head":
            layer.trainable = id(layer) not in inside
        elif phase.trainable == "backbone":
            layer.trainable = id(layer) in inside
        else:
            layer.trainable = id(layer) not in inside or id(layer) in unfrozen


def backbone_of(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """The backbone's layers by number: as in keras.applications, else those before layer `features`."""
    from fer.models.backbones import backbone_layers

    numbered = backbone_layers(model)
    if numbered:
        return numbered
    names = [layer.name for layer in model.layers]
    end = names.index("features") if "features" in names else max(len(names) - 2, 0)
    return dict(enumerate(model.layers[:end]))


def compile_for(model: keras.Model, config: TrainConfig, phase: Phase, policy: str) -> keras.Model:
    """A trainer for `phase`: a second model over the same layers, compiled with the phase's optimizer.

    The model itself stays uncompiled, so that saving it saves no optimizer.
    """
    set_trainable(model, phase)
    trainer = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    optimizer = _optimizer(config, phase, trainer.trainable_variables)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    trainer.compile(
        optimizer=optimizer,
        loss=_loss(config),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=backend.resolved_jit(config.jit),
        auto_scale_loss=False,
    )
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def inner_optimizer(trainer: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer that has the learning rate and the averages, inside a loss scaler or not."""
    return getattr(trainer.optimizer, "inner_optimizer", trainer.optimizer)


def preparer(augmentation: AugmentationConfig, mixes: bool) -> Callable[[Batch], Any]:
    """A function from a batch to the network's input, (B, 48, 48, 1) float32, compiled as one."""
    augment, mix = Augment(augmentation), Mix()
    if not mixes:
        varied = backend.compiled(lambda images, parameters: augment(images, parameters))
        return lambda batch: varied(batch.images, batch.parameters)
    mixed = backend.compiled(lambda i, p, partners, mixing: mix(augment(i, p), partners, mixing))
    return lambda batch: mixed(batch.images, batch.parameters, batch.partners, batch.mixing)


def predict(
    model: keras.Model, images: np.ndarray, batch: int, should_stop: Callable[[], bool]
) -> np.ndarray | None:
    """(N, K) float32 probabilities of (N, 48, 48) uint8 images in the training's precision; None if stopped.

    The last batch is filled up, so that only one shape is compiled.
    """
    parts = []
    batch = min(batch, len(images))
    for start in range(0, len(images), batch):
        if should_stop():
            return None
        part = images[start : start + batch]
        filled = np.resize(part, (batch, *part.shape[1:])).astype(np.float32)[..., None] / np.float32(255)
        parts.append(np.asarray(model.predict_on_batch(filled), dtype=np.float32)[: len(part)])
    return np.concatenate(parts)


def _optimizer(config: TrainConfig, phase: Phase, variables: list[Any]) -> keras.optimizers.Optimizer:
    common: dict[str, Any] = {
        "learning_rate": phase.learning_rate,
        "weight_decay": phase.weight_decay or None,
        "gradient_accumulation_steps": config.gradient_accumulation
        if config.gradient_accumulation > 1
        else None,
    }
    if config.ema:
        common |= {"use_ema": True, "ema_momentum": config.ema}
    if phase.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=phase.momentum, nesterov=phase.momentum > 0, **common)
    elif phase.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(**(common | {"weight_decay": phase.weight_decay}))
    else:
        optimizer = keras.optimizers.Adam(**common)
    if phase.weight_decay:
        # By variable: names are searched for in whole paths, and "token" would free a tokenizer.
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if v.name in NO_DECAY])
    return optimizer


def _loss(config: TrainConfig) -> keras.losses.Loss:
    """Cross-entropy −Σ t log p, or focal −Σ t (1 − p)^γ log p (Lin et al. 2017, eq. 4)."""
    if config.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=config.focal_gamma)
    return keras.losses.CategoricalCrossentropy()
