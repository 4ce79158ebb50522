"""The input that a class's score is highest for (Erhan et al. 2009), through tf-keras-vis.

It takes hundreds of gradient steps: run it in the background.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UnknownName
from fer.evaluation.predictions import Stopped

if TYPE_CHECKING:
    import keras


def maximise_class(
    model: "keras.Model",
    target: str,
    steps: int = 200,
    classes: Sequence[str] = EMOTIONS,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> np.ndarray:
    """(48, 48) float32 in [0, 1]: a picture the network is most certain is `target`.

    Starts from grey noise; jitter and a smoothness penalty keep it from fine patterns that only the
    network sees.
    """
    import keras

    from fer.explanation.network import explained, quiet_import

    with quiet_import():
        from tf_keras_vis.activation_maximization import ActivationMaximization
        from tf_keras_vis.activation_maximization.callbacks import Callback
        from tf_keras_vis.activation_maximization.input_modifiers import Jitter
        from tf_keras_vis.activation_maximization.regularizers import TotalVariation2D
        from tf_keras_vis.utils.scores import CategoricalScore

    if target not in classes:
        raise UnknownName("class", target, tuple(classes))

    class Report(Callback):
        def __call__(self, i: int, *arguments: object, **settings: object) -> None:
            if should_stop and should_stop():
                raise Stopped
            if progress:
                progress((i + 1) / steps, f"step {i + 1} of {steps}")

    network = explained(model)
    start = np.random.default_rng(seed).normal(0.5, 0.05, (1, IMAGE_SIZE, IMAGE_SIZE, 1)).astype(np.float32)
    with network.lock:
        tool = ActivationMaximization(network.pixels)
        found = tool(
            CategoricalScore(list(classes).index(target)),
            seed_input=start,
            input_range=(0.0, 1.0),
            input_modifiers=[Jitter(jitter=3)],
            regularizers=[TotalVariation2D(weight=50.0)],
            steps=steps,
            optimizer=keras.optimizers.Adam(0.02),
            callbacks=[Report()],
        )
    return np.clip(np.asarray(found, np.float32)[0, ..., 0], 0, 1)
