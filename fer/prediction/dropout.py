"""A network whose dropout stays on when it predicts, for Monte Carlo dropout (Gal & Ghahramani 2016)."""

from typing import Any

import keras
from keras import layers

DROPOUT = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.AlphaDropout,
)


def with_dropout(model: keras.Model) -> keras.Model | None:
    """A copy of `model` with every dropout layer always on; None when it has none.

    Calling the model with `training=True` would also switch batch normalisation to the statistics of the
    batch, which for one face is nonsense.
    """
    copy = keras.models.clone_model(model, clone_function=_clone, recursive=True)
    if not any(hasattr(layer, "always_on") for layer in copy._flatten_layers()):
        return None
    copy.set_weights(model.get_weights())
    return copy


def _clone(layer: layers.Layer) -> layers.Layer:
    kind = type(layer)
    active = isinstance(layer, DROPOUT) and layer.get_config().get("rate", 0) > 0
    return (_always_on(kind) if active else kind).from_config(layer.get_config())


def _always_on(kind: Any) -> Any:
    class AlwaysOn(kind):
        always_on = True

        def call(self, inputs, training=False):
            return super().call(inputs, training=True)

    return AlwaysOn
