"""Every cache decorator of the app, wrapped around `fer` functions.

Keys are fingerprints, run ids and modification times, never arrays or models, so moving a slider
recomputes nothing and a finished training is seen at once. The cache folder is part of every key
because tests and classes move it. TensorFlow is imported only by `model` and `predictor`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fer import storage
from fer.data.dataset import Dataset, open_dataset
from fer.runs.run import STARTER


def dataset(fingerprint: str) -> Dataset:
    """The data set with this fingerprint, opened once for all sessions."""
    return _dataset(str(storage.cache_directory()), fingerprint)


@st.cache_resource(max_entries=16, show_spinner=False)
def _dataset(cache: str, fingerprint: str) -> Dataset:
    return open_dataset(fingerprint)


def statistics(fingerprint: str) -> dict[str, Any]:
    """`fer.analysis.statistics.statistics` of a data set."""
    return _statistics(str(storage.cache_directory()), fingerprint)


@st.cache_data(max_entries=16, show_spinner="Counting pixels …")
def _statistics(cache: str, fingerprint: str) -> dict[str, Any]:
    from fer.analysis.statistics import statistics as compute

    return compute(_dataset(cache, fingerprint))


def class_faces(fingerprint: str) -> tuple[list[Any], list[Any], list[str]]:
    """Mean face, stretched standard deviation (48×48 uint8 each) and name of every class with images."""
    import numpy as np

    from fer.analysis.statistics import class_faces as compute
    from fer.emotions import EMOTIONS

    faces = compute(dataset(fingerprint))
    present = [n for n, count in enumerate(faces["counts"]) if count]
    spread = [faces["std"][n] for n in present]
    low, high = (min(map(np.min, spread)), max(map(np.max, spread))) if spread else (0, 1)
    stretched = [np.uint8(255 * (face - low) / max(high - low, 1e-9)) for face in spread]
    return [np.uint8(faces["mean"][n] + 0.5) for n in present], stretched, [EMOTIONS[n] for n in present]


def audit(fingerprint: str) -> dict[str, Any]:
    """`fer.data.audit.audit` of a data set."""
    return _audit(str(storage.cache_directory()), fingerprint)


@st.cache_data(max_entries=16, show_spinner="Looking for duplicates and leaks …")
def _audit(cache: str, fingerprint: str) -> dict[str, Any]:
    from fer.data.audit import audit as compute

    return compute(_dataset(cache, fingerprint))


def history(directory: Path) -> pd.DataFrame:
    """History of a run; read again only when its file changed."""
    path = directory / "history.csv"
    return _history(str(directory), path.stat().st_mtime_ns if path.exists() else 0)


@st.cache_data(max_entries=256, show_spinner=False)
def _history(directory: str, changed: int) -> pd.DataFrame:
    from fer.runs import open_run, shipped_runs

    shipped = [run for run in shipped_runs() if str(run.directory) == directory]
    return (shipped[0] if shipped else open_run(Path(directory).name)).history()


def report(directory: Path, fingerprint: str | None, split: str) -> dict[str, Any]:
    """Report of a run on a split of a data set (its own when None); read again when predictions changed."""
    from fer.evaluation.predictions import predictions_changed

    changed = predictions_changed(directory)
    return _report(str(directory), fingerprint, split, changed)


@st.cache_data(max_entries=512, show_spinner="Computing the report …")
def _report(directory: str, fingerprint: str | None, split: str, changed: int) -> dict[str, Any]:
    from fer.evaluation.report import run_report

    return run_report(Path(directory), dataset(fingerprint) if fingerprint else None, split, compute=False)


def model(directory: Path) -> Any:
    """Keras model of a run in float32, loaded once for all sessions."""
    return _model(str(directory), (directory / "best.keras").stat().st_mtime_ns)


@st.cache_resource(max_entries=8, show_spinner="Loading the model …")
def _model(directory: str, changed: int) -> Any:
    from fer.models.loading import load_model

    _compute_on_cpu()
    return load_model(Path(directory) / "best.keras")


@st.cache_resource(show_spinner=False)
def _compute_on_cpu() -> None:
    """The server leaves GPUs to the trainings: one face takes milliseconds on the processor."""
    from fer.backend import select_device

    select_device("cpu")


def predictor(directories: tuple[Path, ...]) -> Any:
    """`fer.prediction.Predictor` of these runs, loaded once for all sessions."""
    key = tuple((str(d), (d / "best.keras").stat().st_mtime_ns) for d in directories)
    return _predictor(key)


@st.cache_resource(max_entries=4, show_spinner="Loading the models …")
def _predictor(key: tuple[tuple[str, int], ...]) -> Any:
    from fer.prediction import Predictor

    _compute_on_cpu()
    return Predictor([Path(directory) for directory, _ in key])


@st.cache_data(max_entries=64, show_spinner=False)
def demo_photo(seed: int) -> bytes:
    """A drawn photo with one face, as PNG: for trying the Predict page without a photo at hand."""
    import cv2

    from fer.data.demo import draw_photo

    photo, _ = draw_photo(seed)
    return cv2.imencode(".png", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))[1].tobytes()


def one_of_each(fingerprint: str) -> tuple[list[Any], list[str]]:
    """A training face and its name for every class that has one."""
    from fer.emotions import EMOTIONS

    opened = dataset(fingerprint)
    train = opened.indices("train")
    pool = train if len(train) else range(len(opened))
    first: dict[int, int] = {}
    for index in pool:
        first.setdefault(int(opened.labels[index]), int(index))
    found = sorted(first.items())
    return [opened.images[index] for _, index in found], [EMOTIONS[label] for label, _ in found]


def outlier_scores(fingerprint: str, detector: str) -> Any:
    """Stored `fer.analysis.outliers.Scores` or None; read again only when its file changed."""
    from fer.analysis.outliers import scores_path

    path = scores_path(dataset(fingerprint), detector)
    if not path.exists():
        return None
    return _outlier_scores(str(storage.cache_directory()), fingerprint, detector, path.stat().st_mtime_ns)


@st.cache_resource(max_entries=16, show_spinner=False)
def _outlier_scores(cache: str, fingerprint: str, detector: str, changed: int) -> Any:
    from fer.analysis.outliers import load_scores

    return load_scores(_dataset(cache, fingerprint), detector)


def judged_on(run: Any) -> str | None:
    """Data set to judge a run on; None, its own, but for the starter, which follows the other runs.

    `panels.choose_runs` puts the choice into the starter's config.
    """
    return run.config.get("dataset") if run.id == STARTER else None


def comparison(directories: Sequence[Path], split: str, fingerprint: str | None = None) -> Any:
    """`fer.evaluation.comparison.compare` of stored predictions; nothing is predicted here.

    Args:
        fingerprint: data set to judge all of them on; None for the one they were trained on.
    """
    return _comparison(_compared(directories), split, fingerprint)


def _compared(directories: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """What a comparison depends on: the runs, their predictions and their names."""
    from fer.evaluation.predictions import predictions_changed

    return tuple((str(d), predictions_changed(d), _changed(d / "labels.json")) for d in directories)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@st.cache_resource(max_entries=32, show_spinner="Comparing …")
def _comparison(key: tuple[tuple[str, int, int], ...], split: str, fingerprint: str | None) -> Any:
    from fer.evaluation.comparison import compare

    opened = dataset(fingerprint) if fingerprint else None
    return compare([Path(directory) for directory, *_ in key], opened, split)


def significance(
    directories: Sequence[Path], split: str, fingerprint: str | None = None
) -> list[dict[str, Any]]:
    """`fer.evaluation.comparison.significance_tests` of a comparison."""
    return _significance(_compared(directories), split, fingerprint)


@st.cache_data(max_entries=32, show_spinner="Testing the differences …")
def _significance(
    key: tuple[tuple[str, int, int], ...], split: str, fingerprint: str | None
) -> list[dict[str, Any]]:
    from fer.evaluation.comparison import significance_tests

    return significance_tests(_comparison(key, split, fingerprint))


def ensemble(directories: Sequence[Path], split: str, fingerprint: str | None = None) -> dict[str, Any]:
    """`fer.evaluation.ensemble.ensemble_reports` of a comparison."""
    return _ensemble(_compared(directories), split, fingerprint)


@st.cache_data(max_entries=32, show_spinner="Averaging …")
def _ensemble(key: tuple[tuple[str, int, int], ...], split: str, fingerprint: str | None) -> dict[str, Any]:
    from fer.evaluation.ensemble import ensemble_reports

    return ensemble_reports(_comparison(key, split, fingerprint))


def clusters(directory: Path, split: str, fingerprint: str, count: int) -> Any:
    """`fer.evaluation.clusters.cluster_images` of a run's stored features; `NotEvaluated` without them."""
    return _clusters(_compared((directory,)), split, fingerprint, count)


@st.cache_resource(max_entries=16, show_spinner="Grouping the images …")
def _clusters(key: tuple[tuple[str, int, int], ...], split: str, fingerprint: str, count: int) -> Any:
    from fer.evaluation.clusters import cluster_images, run_features

    directory = Path(key[0][0])
    indices, features = run_features(directory, dataset(fingerprint), split, compute=False)
    judged = _comparison(key, split, fingerprint)
    keep = np.isin(indices, judged.indices)
    positions = np.searchsorted(judged.indices, indices[keep])
    return cluster_images(
        indices[keep], features[keep], judged.labels[positions], judged.correct[0][positions], count
    )


def temperature(directory: Path) -> float | None:
    """Temperature fitted on a run's validation predictions; None when there are none."""
    from fer.evaluation.predictions import predictions_changed

    changed = predictions_changed(directory)
    return _temperature(str(directory), changed)


@st.cache_data(max_entries=256, show_spinner=False)
def _temperature(directory: str, changed: int) -> float | None:
    from fer.errors import UserError
    from fer.evaluation.calibration import fit_temperature
    from fer.evaluation.comparison import compare

    try:
        found = compare([Path(directory)], None, "validation")
        return float(fit_temperature(found.labels, found.probabilities[0]))
    except UserError:
        return None


def quality(fingerprint: str) -> Any:
    """`fer.analysis.quality.quality` of a data set."""
    return _quality(str(storage.cache_directory()), fingerprint)


@st.cache_resource(max_entries=8, show_spinner="Measuring brightness, contrast and blur …")
def _quality(cache: str, fingerprint: str) -> Any:
    from fer.analysis.quality import quality as compute

    return compute(_dataset(cache, fingerprint))


def watermark_scores(fingerprint: str) -> Any:
    """(N,) float32 watermark scores if they are stored, else None; nothing is computed here."""
    from fer.analysis.watermarks import stored_scores

    return stored_scores(dataset(fingerprint))


def compute_watermarks(opened: Dataset, progress: Any) -> None:
    """Compute and store the watermark scores of a data set."""
    from fer.analysis.watermarks import watermark_scores as compute

    compute(opened, progress)


def map_faces(fingerprint: str, source: str, limit: int, chart: str) -> bytes:
    """Sheets of the faces on a stored map, for `dashboard.map_hover`."""
    return _map_faces(str(storage.cache_directory()), fingerprint, source, limit, chart)


@st.cache_data(max_entries=4, show_spinner="Preparing the faces …")
def _map_faces(cache: str, fingerprint: str, source: str, limit: int, chart: str) -> bytes:
    from dashboard.map_hover import pack
    from fer.analysis.embedding import load_embedding
    from fer.emotions import EMOTIONS

    opened = _dataset(cache, fingerprint)
    found = load_embedding(opened, source, limit)
    indices = found.indices if found else opened.indices("train")[:0]
    captions = [f"{EMOTIONS[opened.labels[i]]} · {opened.names[i].rsplit('/', 1)[-1]}" for i in indices]
    return pack(opened.images, indices, captions, chart)


@st.cache_resource(show_spinner=False)
def queue_served() -> bool:
    """Once per server: after a restart of the computer nobody else serves what waits in the queue."""
    from fer.runs import ensure_dispatcher

    return ensure_dispatcher()


@st.cache_data(ttl=30, show_spinner=False)
def disk_use() -> list[Any]:
    """`fer.disk_use.disk_use`: it looks at every file of the cache, so at most twice a minute."""
    from fer.disk_use import disk_use as compute

    return compute()


def generator(run: Any, weights: str) -> Any:
    """`fer.generation.generators.Generator` of a diffusion run, its network loaded and compiled once."""
    path = run.directory / f"{weights}.keras"
    return _generator(str(run.directory), weights, path.stat().st_mtime_ns)


@st.cache_resource(max_entries=2, show_spinner="Loading the generator …")
def _generator(directory: str, weights: str, changed: int) -> Any:
    from pathlib import Path

    from fer.generation.generators import Generator
    from fer.runs import open_run

    return Generator(open_run(Path(directory).name), weights)
