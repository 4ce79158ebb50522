"""Fit the outlier detectors and score every image: the job behind the Outliers page.

The autoencoder trains as in study A (Adam, mean squared error, at most 10 epochs, early stop on the
validation loss with patience 3) on the training part of the 80/20 split; `outlier_scoring` then scores every
image with the best of its epochs.
"""

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer import storage
from fer.analysis.outlier_scoring import code_distances, fit_forest, fit_pca, reconstruct
from fer.analysis.outliers import DETECTORS, Scores, reconstructions_path, save_scores
from fer.data.dataset import Dataset, open_dataset
from fer.data.splits import SplitConfig, split_indices
from fer.errors import UnknownName, UserError

if TYPE_CHECKING:
    import keras

NETWORK = ("autoencoder", "code distance")  # the detectors that need the trained network
FEW, SMALL_BATCH, BATCH = 6400, 16, 64  # fewer images than FEW: smaller batches, so that epochs have steps
HISTORY = ("epoch", "loss", "val_loss", "learning_rate", "seconds", "images_per_second")

Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class OutlierConfig:
    """What the job does.

    Attributes:
        dataset: fingerprint or name.
        detectors: of `DETECTORS`.
        epochs: at most, 1 to 100.
        patience: epochs without a better validation loss, 1 to 100.
        batch_size: 8 to 1,024; None for 64, and 16 with fewer than 6,400 training images: ten epochs of
            2,000 images in batches of 64 are too few steps to learn more than blurred faces.
        learning_rate: of Adam.
        seed: of weights and order.
        limit: train the autoencoder on at most so many images; None for all.
    """

    dataset: str
    detectors: tuple[str, ...] = DETECTORS
    epochs: int = 10
    patience: int = 3
    batch_size: int | None = None
    learning_rate: float = 1e-3
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "detectors", tuple(self.detectors))
        for name in self.detectors:
            if name not in DETECTORS:
                raise UnknownName("detector", name, DETECTORS)
        limits = (("epochs", 1, 100), ("patience", 1, 100), ("batch_size", 8, 1024), ("seed", 0, 2**31 - 1))
        for name, low, high in limits:
            value = getattr(self, name)
            if name == "batch_size" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise UserError(f"{name} is {value!r}; give a whole number from {low} to {high:,}.")
        rate = self.learning_rate
        if not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise UserError(f"The learning rate is {rate!r}; give a number above 0, at most 1.")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self) | {"detectors": list(self.detectors)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "OutlierConfig":
        """The config `to_json` described; an unknown key raises `UnknownName`."""
        known = [f.name for f in fields(cls)]
        for key in content:
            if key not in known:
                raise UnknownName("outlier setting", key, known)
        return cls(**content)


def run(
    config: dict[str, Any], directory: Path, progress: Progress, should_stop: ShouldStop
) -> dict[str, Any]:
    """The background run: fit, score, store under the data set's fingerprint."""
    settings = OutlierConfig.from_json(config)
    dataset = open_dataset(settings.dataset)
    facts: dict[str, Any] = {}
    if set(NETWORK) & set(settings.detectors):
        report = _scaled(progress, 0.0, 0.95)
        model = fit_autoencoder(dataset, settings, Path(directory), report, should_stop)
        if model is None:
            return {"stopped": True, "metrics": {}}
        facts = score_autoencoder(dataset, model, Path(directory), _scaled(progress, 0.9, 0.95)).facts
    for name in settings.detectors:
        if should_stop():
            return {"stopped": True, "metrics": facts}
        if name not in NETWORK:
            progress(0.97, f"Fitting {name}")
            save_scores(dataset, fit_pca(dataset) if name == "pca" else fit_forest(dataset))
    progress(1.0, "Finished")
    return {"stopped": False, "metrics": facts}


def fit_autoencoder(
    dataset: Dataset,
    config: OutlierConfig,
    directory: Path,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> "keras.Model | None":
    """Train and return the best network in float32; None when stopped, to be continued by another call.

    Writes `history.csv` and, after each epoch, `last.keras` in `directory`, from where it continues.
    """
    import keras

    from fer.backend import choose_precision, resolved_jit
    from fer.models.autoencoder import build
    from fer.models.loading import load_model, save_model

    keras.utils.set_random_seed(config.seed)
    parts = split_indices(dataset, SplitConfig(), limit=config.limit)
    model = build(choose_precision("auto", "cpu"))
    optimizer = keras.optimizers.Adam(config.learning_rate)
    model.compile(optimizer=optimizer, loss="mse", jit_compile=resolved_jit(False))
    batch_size = config.batch_size or (BATCH if len(parts["train"]) >= FEW else SMALL_BATCH)
    rows = _resumed(directory, model)
    losses = [float(row["val_loss"]) for row in rows]
    while len(losses) < config.epochs and _since_best(losses) < config.patience:
        started = time.monotonic()
        epoch = len(losses)
        report = _scaled(progress, 0.9 * epoch / config.epochs, 0.9 * (epoch + 1) / config.epochs)
        text = f"Epoch {epoch + 1} of at most {config.epochs}"
        order = np.random.default_rng([config.seed, epoch]).permutation(parts["train"])
        loss = _train_epoch(model, dataset, order, batch_size, report, text, should_stop)
        if loss is None:
            return None
        losses.append(float(reconstruct(model, dataset.images, parts["validation"]).errors.mean()))
        seconds = time.monotonic() - started
        rate = len(order) / seconds
        rows.append(
            dict(
                zip(HISTORY, (epoch + 1, loss, losses[-1], config.learning_rate, seconds, rate), strict=True)
            )
        )
        if losses[-1] == min(losses):
            save_model(model, directory / "best.keras")
        save_model(model, directory / "last.keras")
        _write_history(directory / "history.csv", rows)
    return load_model(directory / "best.keras")


def score_autoencoder(
    dataset: Dataset, model: "keras.Model", directory: Path, progress: Progress | None = None
) -> Scores:
    """Errors, code distances and reconstructions of every image, stored; returns the errors."""
    started = time.monotonic()
    found = reconstruct(model, dataset.images, np.arange(len(dataset)), progress)
    history = _read_history(directory / "history.csv")
    losses = [float(row["val_loss"]) for row in history]
    facts = {
        "parameters": model.count_params(),
        "epochs": len(losses),
        "val_loss": min(losses, default=None),
        "seconds": sum(float(row["seconds"]) for row in history) + time.monotonic() - started,
        "scoring_seconds": time.monotonic() - started,
    }
    scores = Scores("autoencoder", found.errors, facts)
    with storage.replacing(reconstructions_path(dataset)) as temporary:
        np.save(temporary, found.pictures)
    save_scores(dataset, scores)
    distances = code_distances(found.codes, dataset.indices("train"))
    save_scores(dataset, Scores("code distance", distances, facts | {"features": found.codes.shape[1]}))
    return scores


def _train_epoch(
    model: "keras.Model",
    dataset: Dataset,
    order: np.ndarray,
    batch_size: int,
    progress: Progress,
    text: str,
    should_stop: ShouldStop | None,
) -> float | None:
    """One pass over `order`; the mean loss, or None when stopped."""
    steps = max(1, len(order) // batch_size)
    loss = 0.0
    for step in range(steps):
        if should_stop and should_stop():
            return None
        chosen = order[step * batch_size : (step + 1) * batch_size]
        images = dataset.images[chosen][..., None].astype(np.float32) / 255
        loss = float(model.train_on_batch(images, images))  # Keras returns the mean since the reset
        progress((step + 1) / steps, f"{text}: loss {loss:.5f}")
    model.reset_metrics()
    return loss


def _resumed(directory: Path, model: "keras.Model") -> list[dict[str, Any]]:
    """The epochs already done in `directory`, with their weights and optimizer state loaded into `model`."""
    import keras

    last, history = directory / "last.keras", _read_history(directory / "history.csv")
    if not history or not last.exists():
        return []
    stored = keras.saving.load_model(last, safe_mode=True)
    model.set_weights(stored.get_weights())
    model.optimizer.build(model.trainable_variables)
    for mine, its in zip(model.optimizer.variables, stored.optimizer.variables, strict=True):
        mine.assign(its)
    return history


def _since_best(losses: list[float]) -> int:
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


def _read_history(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [",".join(HISTORY), *(",".join(str(row[name]) for name in HISTORY) for row in rows)]
    storage.write_text(path, "\n".join(lines) + "\n")


def _scaled(progress: Progress | None, low: float, high: float) -> Progress:
    """A progress callback whose 0 to 1 is `low` to `high` of `progress`."""

    def report(fraction: float, text: str) -> None:
        if progress:
            progress(low + (high - low) * fraction, text)

    return report
