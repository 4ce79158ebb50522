"""Heat maps for one image or many, through tf-keras-vis.

Every map is (48, 48) in [0, 1], where 0 means no evidence and 1 the strongest of that image; coarse maps
are enlarged bilinearly with each value at the centre of its cell. Layers of tokens are centred by layer
normalisation, so there only differences between positions mean something: 0 is the weakest position.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UnknownName, UserError
from fer.evaluation.predictions import Stopped
from fer.explanation.methods import Method, find_method

if TYPE_CHECKING:
    import keras

    from fer.explanation.network import ExplainedNetwork

Progress = Callable[[float, str], None]
BATCH = 32
SCORE_CAM_MAPS = 64  # the most varied feature maps; more change little and cost a pass each
SMOOTH_SAMPLES, SMOOTH_NOISE = 25, 0.15


@dataclass(frozen=True)
class Explanation:
    """One heat map.

    Attributes:
        heatmap: (48, 48) float32 in [0, 1]; all 0 when nothing speaks for the class at this layer.
        method: key of `METHODS`.
        layer: the layer read, '' for methods on pixels.
        target: explained class.
        probabilities: `{class: probability}` for the classes the network knows.
    """

    heatmap: np.ndarray
    method: str
    layer: str
    target: str
    probabilities: dict[str, float]

    @property
    def predicted(self) -> str:
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        return self.probabilities[self.predicted]


def explain(
    model: "keras.Model",
    image: np.ndarray,
    method: str = "gradcam",
    layer: str | None = None,
    target: str | None = None,
    classes: Sequence[str] = EMOTIONS,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Explanation:
    """Why `model` would say `target` for `image`.

    Args:
        model: takes (N, 48, 48, 1) float32 in [0, 1]; float32 weights.
        image: (48, 48) uint8.
        method: of `METHODS`.
        layer: one of `explainable_layers(model)`; None for the model's default.
        target: class to explain; None for the predicted one.
        classes: of the output columns.

    Raises:
        UserError: unknown method, layer or class; shapes that do not fit.
        Stopped: cancelled.
    """
    image = np.asarray(image)
    if image.ndim != 2:
        raise UserError(f"The image has shape {image.shape}; expected ({IMAGE_SIZE}, {IMAGE_SIZE}).")
    targets = None if target is None else [target]
    return explain_many(model, image[None], method, layer, targets, classes, progress, should_stop)[0]


def explain_many(
    model: "keras.Model",
    images: np.ndarray,
    method: str = "gradcam",
    layer: str | None = None,
    targets: Sequence[str] | None = None,
    classes: Sequence[str] = EMOTIONS,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Explanation]:
    """`explain` for (N, 48, 48) uint8 images in batches; `targets` has one class per image."""
    from fer.explanation.network import explained

    chosen = find_method(method)
    _check_images(images)
    network = explained(model)
    columns = network.logits.shape[-1]
    if len(classes) != columns:
        raise UserError(f"The network has {columns} outputs, but {len(classes)} classes were named.")
    wanted = None if targets is None else [_column(name, classes) for name in targets]
    if wanted is not None and len(wanted) != len(images):
        raise UserError(f"{len(images)} images need {len(images)} classes to explain, not {len(wanted)}.")
    results: list[Explanation] = []
    with network.lock:
        layer = layer or network.default_layer if chosen.uses_layer else ""
        step = 1 if chosen.heavy else BATCH
        for start in range(0, len(images), step):
            if should_stop and should_stop():
                raise Stopped
            report = _Report(progress, should_stop, start, min(step, len(images) - start), len(images))
            batch = np.asarray(images[start : start + step], np.float32)[..., None] / 255
            score = _Score(None if wanted is None else wanted[start : start + step])
            maps = _maps(network, chosen, layer, batch, score, report)
            for heatmap, column, row in zip(maps, score.columns, score.probabilities, strict=True):
                answers = {name: float(p) for name, p in zip(classes, row, strict=True)}
                results.append(Explanation(heatmap, chosen.name, layer, classes[column], answers))
            report(1.0)
    return results


def explainable_layers(model: "keras.Model") -> list[str]:
    """Layers that a map can be drawn from, from first to last."""
    from fer.explanation.network import explained

    return explained(model).layers


def default_layer(model: "keras.Model") -> str:
    """The layer `explain` reads when none is named."""
    from fer.explanation.network import explained

    return explained(model).default_layer


def prepare(model: "keras.Model", layer: str | None = None) -> None:
    """Compile what the first Grad-CAM would compile; call it where the model is loaded."""
    explain(model, np.full((IMAGE_SIZE, IMAGE_SIZE), 127, np.uint8), layer=layer, classes=_names(model))


def _names(model: "keras.Model") -> list[str]:
    return [str(column) for column in range(model.output_shape[-1])]


class _Report:
    """Progress of one batch within all images, and the place where cancelling takes effect."""

    def __init__(
        self, progress: Progress | None, should_stop: Any, start: int, size: int, total: int
    ) -> None:
        self.progress, self.should_stop = progress, should_stop
        self.start, self.size, self.total = start, size, total

    def __call__(self, share: float) -> None:
        if self.should_stop and self.should_stop():
            raise Stopped
        if self.progress:
            done = self.start + share * self.size
            self.progress(min(done / self.total, 1.0), f"{int(done)} of {self.total} images")


class _Score:
    """The scores to explain, as tf-keras-vis asks for them; remembers what the network answered.

    columns: (N,) explained output of each image; without a wish, the highest of the first answer.
    """

    def __init__(self, columns: Sequence[int] | None):
        self.columns: Any = columns
        self.probabilities: Any = None

    def __call__(self, output: Any) -> Any:
        import tensorflow as tf

        if self.probabilities is None:
            self.answered(tf.nn.softmax(output).numpy())
        return tf.gather(output, tf.constant(self.columns, tf.int32), axis=1, batch_dims=1)

    def answered(self, probabilities: np.ndarray) -> None:
        """Take the answers to the unchanged images."""
        self.probabilities = probabilities
        if self.columns is None:
            self.columns = probabilities.argmax(axis=1)


def _maps(
    network: "ExplainedNetwork", method: Method, layer: str, batch: np.ndarray, score: _Score, report: _Report
) -> np.ndarray:
    """(N, 48, 48) float32 in [0, 1]."""
    from fer.explanation.network import visualiser

    model = network.cut(layer) if method.uses_layer else network.pixels
    tool = visualiser(method.name, model)
    at = {"penultimate_layer": "features", "seek_penultimate_conv_layer": False}
    tokens = method.uses_layer and len(network.tensors[layer].shape) == 3
    plain: dict[str, Any] = {"expand_cam": False, "normalize_cam": False}
    if tokens:
        plain["activation_modifier"] = _positive_weights_only
    if method.name in ("gradcam", "gradcam++", "layercam"):
        maps = tool(score, batch, **at, **plain)
    elif method.name == "scorecam":
        score.answered(network.probabilities(batch))  # tf-keras-vis asks about the masked images only
        model.step = report
        channels = model.get_layer("features").output.shape[-1]
        maps = tool(score, batch, max_N=min(SCORE_CAM_MAPS, channels), **at, **plain)
    elif method.name == "saliency":
        maps = np.abs(tool(score, batch, keepdims=True, normalize_map=False))[..., 0]
    else:
        score.answered(network.probabilities(batch))  # not those to the noisy copies
        maps = np.abs(_smoothgrad(tool, score, batch, report))[..., 0]
    return np.stack([_enlarged(np.asarray(one, np.float32), relative=tokens) for one in maps])


def _positive_weights_only(values: Any) -> Any:
    """ReLU for the position weights of Grad-CAM++, (N, h, w, c), but not for the map, (N, h, w)."""
    import tensorflow as tf

    return tf.nn.relu(values) if len(values.shape) == 4 else values


def _smoothgrad(tool: Any, score: Any, batch: np.ndarray, report: _Report) -> np.ndarray:
    """Mean gradient over noisy copies; the same noise every time, so that a map can be repeated."""
    done = 0

    def count(gradient: Any) -> Any:
        nonlocal done
        done += 1
        report(done / SMOOTH_SAMPLES)
        return gradient

    state = np.random.get_state()  # noqa: NPY002  tf-keras-vis draws from the global generator
    np.random.seed(0)  # noqa: NPY002
    try:
        return np.asarray(
            tool(
                score,
                batch,
                smooth_samples=SMOOTH_SAMPLES,
                smooth_noise=SMOOTH_NOISE,
                gradient_modifier=count,
                keepdims=True,
                normalize_map=False,
            )
        )
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _enlarged(values: np.ndarray, relative: bool = False) -> np.ndarray:
    """(48, 48) float32 with strongest value 1; evidence against is cut off, or the weakest is 0."""
    import cv2

    values = np.nan_to_num(values)
    values = values - values.min() if relative else np.maximum(values, 0)
    if values.shape != (IMAGE_SIZE, IMAGE_SIZE):
        values = cv2.resize(values, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_LINEAR)
    highest = values.max()
    return (values / highest).astype(np.float32) if highest > 0 else np.zeros_like(values, np.float32)


def _check_images(images: np.ndarray) -> None:
    if images.ndim != 3 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise UserError(f"Images have shape {images.shape}; expected (N, {IMAGE_SIZE}, {IMAGE_SIZE}).")


def _column(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise UnknownName("class", name, tuple(classes))
    return list(classes).index(name)
