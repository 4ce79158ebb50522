"""Does the map depend on what was learned? Adebayo et al. 2018, "Sanity Checks for Saliency Maps".

The same network with random weights is explained beside the trained one. A method whose maps stay alike
shows edges of the image, not reasons of the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fer.emotions import EMOTIONS
from fer.explanation.explain import Explanation, explain

if TYPE_CHECKING:
    import keras

SUSPICIOUS = 0.7  # rank correlation above which the two maps tell the same story


@dataclass(frozen=True)
class SanityCheck:
    """Both maps and how alike they are.

    Attributes:
        trained, random: of the trained network and of the one with random weights, for the same class.
        similarity: Spearman's rank correlation of the pixels, in [-1, 1]; 0 when a map is flat.
        passed: the similarity is below `SUSPICIOUS`.
        sentence: what that means.
    """

    trained: Explanation
    random: Explanation
    similarity: float
    passed: bool
    sentence: str


def sanity_check(
    model: "keras.Model",
    image: np.ndarray,
    method: str = "gradcam",
    layer: str | None = None,
    target: str | None = None,
    classes: Sequence[str] = EMOTIONS,
    seed: int = 0,
) -> SanityCheck:
    """Explain `image` with the trained weights and with random ones; arguments as in `explain`."""
    trained = explain(model, image, method, layer, target, classes)
    twin = random_twin(model, seed)
    random = explain(twin, image, method, trained.layer or None, trained.target, classes)
    similarity = map_similarity(trained.heatmap, random.heatmap)
    passed = similarity < SUSPICIOUS
    meaning = (
        "the map depends on what was learned"
        if passed
        else "this map shows the image more than the network; do not read reasons into it"
    )
    sentence = f"With random weights the map correlates {similarity:+.2f} with the trained one: {meaning}."
    return SanityCheck(trained, random, similarity, passed, sentence)


def random_twin(model: "keras.Model", seed: int = 0) -> "keras.Model":
    """The same architecture with fresh random weights; kept with the model for the next image."""
    import keras

    known = model.__dict__.get("_random_twins", {})
    if seed not in known:
        keras.utils.set_random_seed(seed)
        known[seed] = keras.models.clone_model(model)
        object.__setattr__(model, "_random_twins", known)
    return known[seed]


def map_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two maps; 0 when one of them is flat."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first.ravel(), second.ravel()).statistic)
