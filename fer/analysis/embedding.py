"""A 2-D map of the images: t-SNE over principal components of the pixels or over a run's features.

t-SNE (van der Maaten and Hinton 2008) in the implementation of openTSNE (Poličar et al. 2024), started from
the first two components. Neighbours on the map were neighbours in the features; distances between far
groups mean little.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer import storage
from fer.data.dataset import Dataset, open_dataset
from fer.errors import UserError

VERSION = 1
COMPONENTS = 50
DEFAULT_LIMIT = 6000
LARGEST_LIMIT = 50_000
_ITERATIONS = 750  # 250 with exaggeration, 500 without: openTSNE's defaults

Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Embedding:
    """Where images lie on the map.

    Attributes:
        indices: (M,) ascending int64 indices into the data set.
        points: (M, 2) float32.
        source: `pixels` or the id of the run whose features were used.
        limit: asked for.
    """

    indices: np.ndarray
    points: np.ndarray
    source: str
    limit: int


def load_embedding(dataset: Dataset, source: str = "pixels", limit: int = DEFAULT_LIMIT) -> Embedding | None:
    """A stored map; None when it was not computed."""
    path = _path(dataset, source, limit)
    if not path.exists():
        return None
    with np.load(path) as stored:
        return Embedding(stored["indices"], stored["points"], source, limit)


def stored_embeddings(dataset: Dataset) -> list[tuple[str, int]]:
    """`(source, limit)` of every stored map."""
    found = []
    for path in sorted(dataset.derived("embedding").glob(f"*-{VERSION}.json")):
        facts = storage.read_json(path)
        found.append((facts["source"], facts["limit"]))
    return found


def compute_embedding(
    dataset: Dataset,
    source: str = "pixels",
    limit: int = DEFAULT_LIMIT,
    features: np.ndarray | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    seed: int = 0,
) -> Embedding | None:
    """Compute and store a map of at most `limit` random images; None when stopped.

    Args:
        dataset: whose images.
        source: what the map is called: `pixels`, or a run's id with its `features`.
        limit: 50 to 50,000 images.
        features: (N, D) for every image of the data set; None takes the pixels.
        progress: called with (fraction, text).
        should_stop: asked every 25 iterations.
        seed: of the choice of images and of openTSNE.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 50 <= limit <= LARGEST_LIMIT:
        raise UserError(f"The map shows {limit!r} images; give a whole number from 50 to {LARGEST_LIMIT:,}.")
    if len(dataset) < 50:
        raise UserError(f"{dataset.name!r} has {len(dataset)} images; a map needs at least 50.")
    random = np.random.default_rng(seed)
    indices = np.sort(random.permutation(len(dataset))[:limit]).astype(np.int64)
    if features is None:
        rows: np.ndarray = dataset.images[indices].reshape(len(indices), -1).astype(np.float32) / 255
    else:
        rows = np.asarray(features, dtype=np.float32)[indices]
    points = _tsne(_components(rows), progress or (lambda fraction, text: None), should_stop, seed)
    if points is None:
        return None
    path = _path(dataset, source, limit)
    storage.write_json(path.with_suffix(".json"), {"source": source, "limit": limit})
    with storage.replacing(path) as temporary:
        np.savez(temporary, indices=indices, points=points)
    return Embedding(indices, points, source, limit)


def run_features(run_directory: Path, dataset: Dataset, progress: Progress | None = None) -> np.ndarray:
    """(N, D) float32 of a run's layer `features` for every image; imports TensorFlow."""
    import keras

    from fer.evaluation.predictions import compiled_predict
    from fer.models.loading import load_model

    model = load_model(Path(run_directory) / "best.keras")
    if "features" not in [layer.name for layer in model.layers]:
        raise UserError("This network has no layer 'features'; choose a run of one of the built-in models.")
    inner = keras.Model(model.inputs, model.get_layer("features").output)
    found, batch = [], 128
    for start in range(0, len(dataset), batch):
        chunk = np.asarray(dataset.images[start : start + batch])
        block = np.zeros((batch, 48, 48, 1), dtype=np.float32)
        block[: len(chunk), ..., 0] = chunk.astype(np.float32) / 255
        found.append(compiled_predict(inner, block)[: len(chunk)])
        if progress:
            progress(min(1.0, (start + batch) / len(dataset)), f"Features of {start + len(chunk):,} images")
    return np.concatenate(found).reshape(len(dataset), -1)


def run(
    config: dict[str, Any], directory: Path, progress: Progress, should_stop: ShouldStop
) -> dict[str, Any]:
    """The background run: `config` has `dataset`, and may have `run` (an id) and `limit`."""
    dataset = open_dataset(config["dataset"])
    source, features = config.get("run") or "pixels", None
    if source != "pixels":
        from fer.runs import open_run

        network = open_run(source)
        source = network.id
        features = run_features(network.directory, dataset, lambda f, text: progress(0.4 * f, text))
    start = 0.0 if features is None else 0.4
    made = compute_embedding(
        dataset,
        source,
        config.get("limit", DEFAULT_LIMIT),
        features,
        lambda fraction, text: progress(start + (1 - start) * fraction, text),
        should_stop,
    )
    if made is None:
        return {"stopped": True, "metrics": {}}
    return {"stopped": False, "metrics": {"images": len(made.indices), "source": source}}


def _components(rows: np.ndarray) -> np.ndarray:
    """(M, min(50, …)) float32 principal components of (M, D)."""
    from sklearn.decomposition import PCA

    count = min(COMPONENTS, *rows.shape)
    return PCA(count, svd_solver="randomized", random_state=0).fit_transform(rows).astype(np.float32)


def _tsne(
    rows: np.ndarray, progress: Progress, should_stop: ShouldStop | None, seed: int
) -> np.ndarray | None:
    from openTSNE import TSNE

    done, stopped = [0], [False]

    def callback(iteration: int, error: float, embedding: Any) -> bool:
        done[0] += 25
        progress(min(1.0, done[0] / _ITERATIONS), f"Arranging {len(rows):,} images")
        stopped[0] = bool(should_stop and should_stop())
        return stopped[0]

    perplexity = min(30, (len(rows) - 1) / 3.5)
    tsne = TSNE(
        perplexity=perplexity,
        n_jobs=1 if len(rows) < 2000 else 2,  # small maps lose more by waiting for each other than they gain
        random_state=seed,
        callbacks=callback,
        callbacks_every_iters=25,
    )
    points = tsne.fit(rows)
    return None if stopped[0] else np.asarray(points, dtype=np.float32)


def _path(dataset: Dataset, source: str, limit: int) -> Path:
    import hashlib

    key = hashlib.sha256(json.dumps([source, limit]).encode()).hexdigest()[:16]
    return dataset.derived("embedding", f"{key}-{VERSION}.npz")
