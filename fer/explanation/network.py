"""A trained network cut in two at one layer, in the shape tf-keras-vis works on.

tf-keras-vis rebuilds a Keras model and runs it layer by layer for every map, cannot look inside nested
models, and knows (h, w, c) features only. So it is given a model of two layers instead:

    images ── `features` ──┬── `logits`         `features`: images → (N, h, w, c), compiled once
        └──────────────────┘                    `logits`: (images, features) → (N, K), compiled once

`logits` recomputes from the images whatever the features do not determine (skip connections, a class
token), so the gradient with respect to the features is exactly that of the whole network. Gradients stop
at the features: compiling them back to the pixels would double the wait for the first map. Tokens become
a grid; a softmax at the end is left out, because Grad-CAM and saliency are defined on scores.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fer.errors import UnknownName, UserError
from fer.evaluation.inference import check_input
from fer.explanation.graph import SHAPE, flat_graph, grid_of, without_softmax

_creating = threading.Lock()


class ExplainedNetwork:
    """One network prepared for explanation; hold `lock` while using it.

    Attributes:
        model: the network.
        tensors: symbolic output of every layer by name, layers of nested models included.
        logits: symbolic scores before the softmax, (N, K).
    """

    def __init__(self, model: keras.Model):
        if keras.backend.backend() != "tensorflow":
            raise UserError(
                f"Explanations need TensorFlow, but Keras runs on {keras.backend.backend()}. "
                "Start without KERAS_BACKEND to see them."
            )
        check_input(model)
        self.model = model
        self.lock = threading.RLock()
        self.inputs, outputs, self.tensors = flat_graph(model)
        self.logits = without_softmax(outputs)
        whole = keras.Model(self.inputs, self.logits)
        self.scores = _compiled(lambda images: whole(images, training=False), SHAPE)
        self._halves: dict[str, _Halves] = {}

    @property
    def layers(self) -> list[str]:
        """Layers that can be explained, from first to last: feature maps and token grids."""
        return [name for name, tensor in self.tensors.items() if grid_of(tensor.shape) is not None]

    @property
    def default_layer(self) -> str:
        """The layer the model's entry in `MODELS` names, else the last feature map or token grid.

        Raises:
            UserError: no layer keeps positions.
        """
        from fer.models import MODELS

        known = self.layers
        spec = next((s for n, s in MODELS.items() if self.model.name in (n, f"{n}_{s.name}")), None)
        if spec is None and self.model.name.startswith("hybrid"):
            spec = MODELS.get("hybrid")
        if spec is not None and spec.cam_layer in known:
            return spec.cam_layer
        maps = [name for name in known if len(self.tensors[name].shape) == 4]
        if not known:
            raise UserError("This network has no layer that keeps positions, so no map can be drawn from it.")
        return (maps or known)[-1]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """(N, K) float32 for (N, 48, 48, 1) float32 in [0, 1]."""
        return tf.nn.softmax(self.scores(tf.constant(images))).numpy()

    @cached_property
    def pixels(self) -> keras.Model:
        """The network as a model of one compiled layer, images → scores, for methods on pixels."""
        inputs = keras.Input(SHAPE, name="images")
        layer = _Compiled(self.scores, (self.logits.shape[-1],), name="logits")
        return keras.Model([inputs], layer(inputs))  # a list, because tf-keras-vis calls it with one

    def cut(self, layer: str) -> keras.Model:
        """The two-layer model of the module's docstring, cut at `layer`; made once."""
        return self.halves(layer).model

    def halves(self, layer: str) -> "_Halves":
        """Both halves for `layer`.

        Raises:
            UnknownName: no such layer, or its output has no positions.
        """
        if layer not in self._halves:
            if layer not in self.tensors or grid_of(self.tensors[layer].shape) is None:
                raise UnknownName("layer", layer, self.layers)
            self._halves[layer] = _Halves(self, layer)
        return self._halves[layer]


class _Halves:
    """The network before and after one layer, compiled, and the two-layer model made of them."""

    def __init__(self, network: ExplainedNetwork, layer: str):
        tensor = network.tensors[layer]
        rows, columns, skipped = grid_of(tensor.shape)  # type: ignore[misc]
        channels = tensor.shape[-1]
        before = keras.Model(network.inputs, tensor)
        after = keras.Model([network.inputs, tensor], network.logits)

        tokens = len(tensor.shape) == 3

        def features(images: tf.Tensor) -> tf.Tensor:
            values = before(images, training=False)
            return tf.reshape(values[:, skipped:], (-1, rows, columns, channels)) if tokens else values

        def logits(images: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
            images = tf.stop_gradient(images)
            if tokens:
                values = tf.reshape(values, (-1, rows * columns, channels))
                if skipped:
                    values = tf.concat([before(images, training=False)[:, :skipped], values], axis=1)
            return after([images, values], training=False)

        grid = (rows, columns, channels)
        self.features = _compiled(features, SHAPE)
        self.logits = _compiled(logits, SHAPE, grid)
        inputs = keras.Input(SHAPE, name="images")
        found = _Compiled(_without_gradient(self.features), grid, name="features")(inputs)
        scores = _Compiled(self.logits, (network.logits.shape[-1],), name="logits")([inputs, found])
        self.model = PredictsInSteps([inputs], scores)


class PredictsInSteps(keras.Model):
    """A model whose `predict`, which Score-CAM calls, reports progress and can be cancelled.

    step: called after every batch with the share that is done; an exception it raises ends the work.
    """

    step: Callable[[float], None] | None = None

    def predict(self, x: Any, batch_size: int | None = None, **_: Any) -> np.ndarray:
        images = np.asarray(x[0] if isinstance(x, list) else x, np.float32)
        size, results = batch_size or 32, []
        for start in range(0, len(images), size):
            results.append(np.asarray(self([images[start : start + size]], training=False)))
            if self.step is not None:
                self.step(min(1.0, (start + size) / len(images)))
        return np.concatenate(results)


class _Compiled(keras.layers.Layer):
    """A layer that calls a compiled function."""

    def __init__(self, function: Callable[..., Any], shape: tuple[int, ...], name: str):
        super().__init__(name=name)
        self.function, self.shape = function, shape

    def call(self, inputs: Any) -> Any:
        return self.function(*inputs) if isinstance(inputs, list) else self.function(inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return (None, *self.shape)


def explained(model: keras.Model) -> ExplainedNetwork:
    """The prepared form of `model`, made once per model and kept with it."""
    with _creating:
        found = model.__dict__.get("_explained_network")
        if found is None:
            found = ExplainedNetwork(model)
            object.__setattr__(model, "_explained_network", found)  # not a layer for Keras to track
        return found


def _compiled(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Any:
    """`function` as one graph for every batch size."""
    signature = [tf.TensorSpec((None, *shape), tf.float32) for shape in shapes]
    return tf.function(function, input_signature=signature, autograph=False)


def _without_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, still followed by a gradient tape, with gradient 0: its backward pass is never made."""
    return lambda images: function(tf.stop_gradient(images)) + 0.0 * tf.reduce_sum(images)


def visualiser(name: str, model: keras.Model) -> Any:
    """The tf-keras-vis object that computes method `name`."""
    with quiet_import():
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
        from tf_keras_vis.layercam import Layercam
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.scorecam import Scorecam
    kinds = {
        "gradcam": Gradcam,
        "gradcam++": GradcamPlusPlus,
        "layercam": Layercam,
        "scorecam": Scorecam,
        "saliency": Saliency,
        "smoothgrad": Saliency,
    }
    return kinds[name](model)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Silence, by name, what tf-keras-vis 0.8 says on import about SciPy's and its own old modules."""
    with warnings.catch_warnings():
        for message in (".*scipy.ndimage.*", ".*tf_keras_vis.utils.regularizers.*"):
            warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        yield
