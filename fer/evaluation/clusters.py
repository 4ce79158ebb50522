"""Groups of images that a network sees alike: k-means over its penultimate layer.

What a cluster has in common is often the cause of its errors: glasses, hands, profiles, watermarks.
Features are stored once per run, data set and split; reading them needs no TensorFlow.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.data.dataset import Dataset, open_dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.inference import predict_probabilities
from fer.evaluation.report import NotEvaluated, check_split
from fer.evaluation.trained import TrainedRun, trained_run
from fer.storage import replacing

if TYPE_CHECKING:
    import keras

LAYER = "features"  # every network of `MODELS` has it
FEWEST, MOST = 2, 50
COMPONENTS = 30  # of the standardised features: the rest is noise that k-means would pay for


@dataclass(frozen=True)
class Clusters:
    """Clusters of N images.

    Attributes:
        indices: (N,) int64 into the data set.
        cluster: (N,) int64, 0 is the largest cluster.
        points: (N, 2) float32, first two principal components of the features.
        distance: (N,) float32 to the centre: the smallest are typical of their cluster.
        facts: per cluster `cluster, images, accuracy, emotion` (most frequent true class), `share` (of it).
    """

    indices: np.ndarray
    cluster: np.ndarray
    points: np.ndarray
    distance: np.ndarray
    facts: list[dict[str, Any]]

    def members(self, cluster: int) -> np.ndarray:
        """(M,) int64 positions of a cluster's images, the most typical first."""
        positions = np.flatnonzero(self.cluster == cluster)
        return positions[np.argsort(self.distance[positions], kind="stable")]


def cluster_images(
    indices: np.ndarray, features: np.ndarray, labels: np.ndarray, correct: np.ndarray, clusters: int = 10
) -> Clusters:
    """k-means on the first 30 principal components; the same input gives the same clusters.

    Args:
        features: (N, D) float. labels: (N,) int. correct: (N,) bool, whether the run is right.
        clusters: 2 to 50.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    if not FEWEST <= clusters <= MOST or len(features) < clusters:
        raise UserError(
            f"{clusters} clusters of {len(features)} images cannot be made; choose {FEWEST} to {MOST}, "
            "and no more than there are images."
        )
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    components = PCA(min(COMPONENTS, *scaled.shape), random_state=0).fit_transform(scaled)
    found = KMeans(clusters, n_init=2, random_state=0).fit(components)
    order = np.argsort(-np.bincount(found.labels_, minlength=clusters), kind="stable")
    number = np.argsort(order)[found.labels_]
    distance = np.linalg.norm(components - found.cluster_centers_[found.labels_], axis=1)
    facts = []
    for cluster in range(clusters):
        here = number == cluster
        counts = np.bincount(labels[here], minlength=len(EMOTIONS))
        facts.append(
            {
                "cluster": cluster,
                "images": int(here.sum()),
                "accuracy": float(correct[here].mean()),
                "emotion": EMOTIONS[int(counts.argmax())],
                "share": float(counts.max() / counts.sum()),
            }
        )
    points = components[:, :2] if components.shape[1] > 1 else np.repeat(components, 2, axis=1)
    return Clusters(indices, number, points.astype(np.float32), distance.astype(np.float32), facts)


def run_features(
    run: Any,
    dataset: Dataset | None = None,
    split: str = "test",
    compute: bool = True,
    model: "keras.Model | None" = None,
    progress: Callable[[float, str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) indices and (N, D) float32 penultimate features of a split; stored with the run.

    Raises:
        NotEvaluated: not stored, and `compute` is False.
        UserError: the network has no layer `features`.
    """
    run = trained_run(run)
    dataset = dataset or run.dataset()
    path = _path(run, dataset, check_split(split))
    stored = _read(path, run.stamp)
    if stored is not None:
        return stored
    if not compute:
        raise NotEvaluated(f"The features of run {run.name!r} on split {split!r} are not computed yet.")
    import keras

    from fer.evaluation.predictions import load_network

    network = model or load_network(run)
    if LAYER not in [layer.name for layer in network.layers]:
        raise UserError(f"The network of run {run.name!r} has no layer {LAYER!r}; choose a built-in model.")
    flat = keras.layers.Flatten(name="flat_features")(network.get_layer(LAYER).output)
    inner = keras.Model(network.inputs, flat)
    indices = run.indices(dataset, split)
    features = predict_probabilities(inner, dataset.images[indices], None, progress, should_stop)
    with replacing(path) as temporary:
        np.savez(temporary, indices=indices, features=features, stamp=np.array(run.stamp))
    return indices, features


def run(
    config: dict[str, Any],
    directory: Path,
    progress: Callable[[float, str], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """The background job `features`: `config` has `run`, and may have `dataset` and `split`."""
    from fer.runs import open_run

    dataset = open_dataset(config["dataset"]) if config.get("dataset") else None
    split = str(config.get("split") or "test")
    indices, _ = run_features(
        open_run(config["run"]), dataset, split, progress=progress, should_stop=should_stop
    )
    return {"stopped": should_stop(), "metrics": {"images": len(indices)}}


def _path(run: TrainedRun, dataset: Dataset, split: str) -> Path:
    return run.results / f"features-{dataset.fingerprint}-{split}.npz"


def _read(path: Path, stamp: str) -> tuple[np.ndarray, np.ndarray] | None:
    if not path.exists():
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return (stored["indices"], stored["features"]) if str(stored["stamp"]) == stamp else None
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        return None  # computed again
