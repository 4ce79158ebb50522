"""Weight averaging (EMA; Polyak & Juditsky 1992): validate and save the average, train the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


@contextmanager
def averaged_weights(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """While inside, the network holds the running average of its weights; without EMA nothing happens."""
    if not optimizer.use_ema:
        yield
        return
    pairs = list(zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True))
    # Copies on the host: JAX gives a variable's buffer away in the next step, so none may be shared.
    weights = [_copy(variable) for variable, _ in pairs]
    for variable, average in pairs:
        variable.assign(_copy(average))
    try:
        yield
    finally:
        for (variable, _), weight in zip(pairs, weights, strict=True):
            variable.assign(weight)


def _copy(variable: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))
