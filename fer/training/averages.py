"""Weight averaging (EMA; Polyak & Juditsky 1992): validate and save the average, train the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def averaged_weights(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """While inside, the network holds the running average of its weights; without EMA nothing happens."""
    if not optimizer.use_ema:
        yield
        return
    pairs = list(zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True))
    weights = [keras.ops.copy(variable.value) for variable, _ in pairs]
    for variable, average in pairs:
        variable.assign(average)
    try:
        yield
    finally:
        for (variable, _), weight in zip(pairs, weights, strict=True):
            variable.assign(weight)
