"""How good generated faces are, each figure beside what real faces score in the same comparison.

In the feature space of a trained classifier (its layer `features`), against held-out real faces that
neither the classifier nor the generator learned from:

    frechet     Fréchet distance of two normal distributions (Heusel et al. 2017), lower is better
    kernel      squared maximum mean discrepancy with the kernel (x·y / D + 1)³ (Bińkowski et al. 2018),
                unbiased, lower is better
    precision   share of the samples within the real faces' manifold (Kynkäänniemi et al. 2019, k = 3)
    recall      share of the real faces within the samples' manifold
    agreement   share of the samples in which the classifier sees the class that was asked for

And between pixels: `near_copies`, the share of samples nearer to a training image (mirrored or not) than
95 % of the training images are to one another. Pixel-identical training images do not count as near.

The real-to-real baseline: the held-out faces are divided in two halves, and one half takes the samples'
place. Both comparisons use equally many faces, because all these figures depend on how many there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.emotions import EMOTIONS
from fer.errors import UserError

NEIGHBOURS = 3
HALVINGS = 10
FEWEST = 2 * (NEIGHBOURS + 1)
NEAR_PERCENTILE = 5.0
MEASURES: tuple[str, ...] = ("frechet", "kernel", "precision", "recall", "agreement", "near_copies")

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Quality:
    """The figures of one set of samples.

    Attributes:
        generated, real: `{measure: value}`; `real` is the baseline.
        compared: faces on each side of a comparison.
        samples, held_out, training: how many there were.
        classifier: name of the run whose features were used.
    """

    generated: dict[str, float]
    real: dict[str, float]
    compared: int
    samples: int
    held_out: int
    training: int
    classifier: str


def judge(generator: Any, samples: np.ndarray, classes: Sequence[str], classifier: Any) -> Quality:
    """Judge samples of a diffusion run by a classifier run.

    Args:
        generator: the run (kind `diffusion`). samples: (N, 48, 48) uint8. classes: N names asked for.
        classifier: a trained run on the same data set and split that knows these classes.

    Raises:
        UserError: a classifier of other images, or fewer than 8 faces on either side.
    """
    from fer.data.dataset import open_dataset
    from fer.generation.config import DiffusionConfig
    from fer.generation.division import divide

    config = DiffusionConfig.from_json(generator.config)
    _check_classifier(config, classifier, classes)
    dataset = open_dataset(config.dataset)
    asked = sorted(set(classes), key=EMOTIONS.index)
    parts = divide(dataset, config, asked)
    held_out = np.concatenate([parts["validation"], parts["test"]])
    reader = FeatureReader(classifier)
    found, chosen = reader.read(samples)
    real, real_chosen = reader.read(dataset.images[held_out])
    names = np.array(EMOTIONS)[dataset.labels[held_out]]
    agreement = float(np.mean(np.array(chosen) == np.array(classes))), float(np.mean(real_chosen == names))
    near = (
        nearness(dataset.images[parts["train"]], samples),
        nearness(dataset.images[parts["train"]], dataset.images[held_out]),
    )
    generated, baseline, compared = compare(found, real)
    return Quality(
        generated | {"agreement": agreement[0], "near_copies": near[0]},
        baseline | {"agreement": agreement[1], "near_copies": near[1]},
        compared,
        len(samples),
        len(held_out),
        len(parts["train"]),
        classifier.name,
    )


def compare(
    samples: np.ndarray, real: np.ndarray, seed: int = 0
) -> tuple[dict[str, float], dict[str, float], int]:
    """Figures of samples against one half of the real faces, of the other half, and the size of a side.

    samples: (N, D) features. real: (M, D). Means over ten random halvings.
    """
    size = min(len(samples), len(real) // 2)
    if size < FEWEST // 2:
        raise UserError(
            f"{len(samples)} samples and {len(real)} held-out faces are too few to compare; give at least "
            f"{FEWEST // 2} samples, and a data set with {FEWEST} held-out faces of the class."
        )
    rows: dict[str, list[dict[str, float]]] = {"generated": [], "real": []}
    for n in range(HALVINGS):
        random = np.random.default_rng([seed, n])
        order, drawn = random.permutation(len(real)), random.permutation(len(samples))[:size]
        reference, other = real[order[:size]], real[order[size : 2 * size]]
        rows["generated"].append(_figures(samples[drawn], reference))
        rows["real"].append(_figures(other, reference))
    means = {
        side: {k: float(np.mean([row[k] for row in found])) for k in found[0]} for side, found in rows.items()
    }
    return means["generated"], means["real"], size


def _figures(samples: np.ndarray, real: np.ndarray) -> dict[str, float]:
    precision, recall = precision_recall(samples, real)
    return {
        "frechet": frechet_distance(samples, real),
        "kernel": kernel_distance(samples, real),
        "precision": precision,
        "recall": recall,
    }


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """|μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½) of (N, D) and (M, D) features.

    The last trace is the sum of the singular values of A Bᵀ for the centred and scaled rows A and B
    (Σ = AᵀA); the triangular factors of A and B, of size min(N, D), have the same ones.
    """
    first, second = (np.linalg.qr(_centred(np.asarray(x, np.float64))).R for x in (a, b))
    shift = np.square(a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64)).sum()
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(max(shift + np.square(first).sum() + np.square(second).sum() - 2 * cross, 0.0))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared MMD with the kernel (x·y / D + 1)³; can be slightly below 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def precision_recall(samples: np.ndarray, real: np.ndarray, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Shares inside the other side's manifold: balls around its points that reach their k-th neighbour."""
    between = _squared_distances(samples, real)
    radius_real, radius_samples = (_kth_neighbour(x, k) for x in (real, samples))
    precision = (between <= radius_real[None, :]).any(axis=1).mean()
    recall = (between <= radius_samples[:, None]).any(axis=0).mean()
    return float(precision), float(recall)


def nearest(training: np.ndarray, images: np.ndarray, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """((N, count) positions in `training`, (N, count) distances), the nearest first.

    training: (M, 48, 48) uint8. images: (N, 48, 48) uint8. The distance is the root mean square of the
    pixel differences in [0, 255], to the image or its mirror image, whichever is nearer.
    """
    flat = _flat(images)
    squared = np.minimum(
        _squared_distances(flat, _flat(training)), _squared_distances(flat, _flat(training[:, :, ::-1]))
    )
    order = np.argsort(squared, axis=1, kind="stable")[:, :count]
    found = np.take_along_axis(squared, order, axis=1)
    return order, np.sqrt(np.maximum(found, 0) / flat.shape[1])


def nearness(training: np.ndarray, images: np.ndarray) -> float:
    """Share of `images` nearer to a training image than 95 % of the training images are to each other."""
    return float(np.mean(nearest(training, images)[1][:, 0] < near_distance(training)))


def near_distance(training: np.ndarray) -> float:
    """The distance below which an image counts as a copy: see the module. At most 2,000 images are used."""
    if len(training) < 3:
        raise UserError("Copies can only be told with at least 3 training images of the class.")
    if len(training) > 2000:
        training = training[np.random.default_rng(0).permutation(len(training))[:2000]]
    distances = nearest(training, training, count=min(len(training), 8))[1]
    distances[distances < 0.5] = np.inf  # itself, and pixel-identical ones
    closest = distances.min(axis=1)
    closest = closest[np.isfinite(closest)]
    return float(np.percentile(closest, NEAR_PERCENTILE)) if len(closest) else 0.0


class FeatureReader:
    """Features and answers of a classifier run for images, in float32."""

    def __init__(self, classifier: Any):
        import keras

        from fer.evaluation.clusters import LAYER
        from fer.evaluation.predictions import load_network
        from fer.evaluation.trained import trained_run

        self.classes = trained_run(classifier).classes
        network = load_network(classifier)
        if LAYER not in [layer.name for layer in network.layers]:
            raise UserError(
                f"The network of {classifier.name!r} has no layer {LAYER!r}; choose a built-in model."
            )
        flat = keras.layers.Flatten(name="flat_features")(network.get_layer(LAYER).output)
        both = keras.layers.Concatenate(name="features_and_answers")([flat, network.output])
        self.network = keras.Model(network.inputs, both)

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """((N, D) float32 features, (N,) names of the likeliest class) of (N, 48, 48) uint8 images."""
        from fer.evaluation.inference import predict_probabilities

        values = predict_probabilities(self.network, np.asarray(images))
        count = len(self.classes)
        return values[:, :-count], np.array(self.classes)[values[:, -count:].argmax(axis=1)]


def _check_classifier(config: Any, classifier: Any, classes: Sequence[str]) -> None:
    theirs = classifier.train_config()
    for name in ("dataset", "split"):
        if getattr(theirs, name) != getattr(config, name):
            raise UserError(
                f"Run {classifier.name!r} was trained with another {name} than the generator, so faces held "
                "out from one may be known to the other. Choose a classifier of the same data set and split."
            )
    missing = sorted(set(classes) - set(theirs.classes))
    if missing:
        raise UserError(
            f"Run {classifier.name!r} does not know {', '.join(missing)}. Choose another classifier."
        )


def _centred(x: np.ndarray) -> np.ndarray:
    """Rows whose Gram matrix over columns is the covariance."""
    return (x - x.mean(axis=0)) / np.sqrt(max(len(x) - 1, 1))


def _flat(images: np.ndarray) -> np.ndarray:
    return np.asarray(images).reshape(len(images), -1).astype(np.float32)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) float64 squared Euclidean distances of (N, D) and (M, D)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None, :] - 2 * a @ b.T
    return np.maximum(squared, 0)


def _kth_neighbour(x: np.ndarray, k: int) -> np.ndarray:
    """(N,) squared distance of each row to its k-th nearest other row."""
    distances = _squared_distances(x, x)
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, min(k, len(x) - 1) - 1]
