"""Make a finished run the starter: its network, small and calibrated, with what it saw and what it reaches.

    python -m fer starter RUN [--temperature-from RUN] [--out FOLDER]

The folder has the files of a run, so Compare, Explain and Predict take it like one, and a model card. The
temperature (Guo et al. 2017, fitted on validation) is divided into the weights of the last layer, so every
use of the network is calibrated: scores, export, other programs. The images it saw are kept as hashes of
their pixels, so that leaks can be counted on any data set; no image is kept. Every figure of the card is
that of the packaged file, not of the run it was made from.
"""

import json
import os
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fer import storage
from fer.data.dataset import Dataset
from fer.errors import UserError
from fer.evaluation.calibration import apply_temperature, fit_temperature
from fer.evaluation.predictions import evaluate_run, load_network
from fer.evaluation.trained import CARD, TrainedRun, trained_run
from fer.runs.run import STARTER_NAME, starter_directory

LARGEST = 6_000_000  # bytes of the whole folder
FEWEST_VALIDATION = 200  # images that one temperature can be fitted on
PRECISIONS = ("auto", "float32", "float16")
COPIED = ("best.json", "history.csv", "environment.json", "hashes.npy", "labels.npy")
Progress = Callable[[float, str], None]


def package_run(
    run: Any,
    target: Path | None = None,
    temperature_from: Any = None,
    precision: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the starter made from `run` and return `{"out", "bytes", "precision", "temperature", "card"}`.

    Args:
        run: a finished run directory or a `fer.runs.Run`, whose data set is imported.
        target: folder to write; one that is there is replaced, as a whole, when all is done.
        temperature_from: run whose validation predictions the temperature is fitted on, where `run` was
            trained on all images and has no validation split of its own.
        precision: of the stored weights: `float16` halves the file, `auto` takes it when `float32` is too
            large. The network computes in float32 either way.

    Raises:
        UserError: no network, no validation images, the data set is gone, or the folder is above `LARGEST`.
    """
    from fer.prediction.card import write_card

    if precision not in PRECISIONS:
        raise UserError(f"Unknown precision {precision!r}. Choose from: {', '.join(PRECISIONS)}.")
    report = progress or (lambda fraction, text: None)
    trained = trained_run(run)
    if trained.shipped:
        raise UserError("That is the starter itself; name the run to make the next one from.")
    dataset, target = trained.dataset(), Path(target or starter_directory())
    if trained.hashes is None:
        raise UserError(
            f"Run {trained.name!r} does not record the pixels it saw, so leaks could not be told."
        )
    report(0.05, "temperature")
    fitted = fitted_temperature(trained, temperature_from)
    staging = target.parent / f"{storage.STAGING_PREFIX}{uuid.uuid4().hex}"
    staging.mkdir(parents=True)
    try:
        report(0.3, "network")
        _describe(trained, dataset, staging)
        stored = _network(trained, staging, fitted, precision)
        packaged = TrainedRun(staging, STARTER_NAME)
        report(0.5, "scores")
        evaluate_run(packaged, dataset, ("test",))
        card = write_card(packaged, trained, dataset, fitted | {"precision": stored})
        size = storage.folder_size(staging)
        _check_size(size)
        _replace(target, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    report(1.0, "done")
    return {
        "out": str(target),
        "bytes": size,
        "precision": stored,
        "temperature": fitted["temperature"],
        "card": card,
    }


def fitted_temperature(trained: TrainedRun, source: Any = None) -> dict[str, Any]:
    """`{"temperature", "fitted_on", "images", "validation"}`: T from validation predictions alone.

    `validation` holds the accuracy there and the calibration error before and after; `fitted_on` is the
    name of the run whose validation images these were.
    """
    from fer.evaluation.calibration import expected_calibration_error

    chosen = trained if source is None else trained_run(source)
    found = len(chosen.splits.get("validation", ()))
    if found < FEWEST_VALIDATION:
        raise UserError(
            f"Run {chosen.name!r} has {found} validation images, too few to fit a temperature on (at least "
            f"{FEWEST_VALIDATION}); name a run of the same recipe that has them: --temperature-from RUN."
        )
    if chosen.classes != trained.classes:
        raise UserError(f"Run {chosen.name!r} knows other classes than {trained.name!r}; name another.")
    dataset = chosen.dataset()
    indices = chosen.indices(dataset, "validation")
    labels = chosen.labels(dataset, indices, "validation")
    probabilities = evaluate_run(chosen, dataset, ("validation",)).of(indices)
    assert probabilities is not None, "predictions were made for these images"
    temperature = fit_temperature(labels, probabilities)
    scaled = apply_temperature(probabilities, temperature)
    return {
        "temperature": temperature,
        "fitted_on": chosen.name,
        "own_validation": chosen.directory == trained.directory,
        "images": len(indices),
        "validation": {
            "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
            "ece_before": expected_calibration_error(labels, probabilities),
            "ece_after": expected_calibration_error(labels, scaled),
        },
    }


def _describe(trained: TrainedRun, dataset: Dataset, folder: Path) -> None:
    """What the run was given and saw: configuration, splits as small integers, hashes; no image."""
    config = {"format": 1, "kind": "train", "recipe": trained.config.get("recipe", "")}
    storage.write_json(folder / "config.json", config | {"config": trained.config})
    storage.write_json(folder / "labels.json", {"name": STARTER_NAME})
    for name in COPIED:
        if (trained.directory / name).exists():
            shutil.copyfile(trained.directory / name, folder / name)
    with storage.replacing(folder / "splits.npz") as path:
        small: Any = {name: indices.astype(np.int32) for name, indices in trained.splits.items()}
        np.savez_compressed(path, **small)


def _network(trained: TrainedRun, folder: Path, fitted: dict[str, Any], precision: str) -> str:
    """Write `best.keras`, `model.json` and `calibration.json`; returns the precision of the weights."""
    from fer.models.loading import save_model

    model, temperature = load_network(trained), fitted["temperature"]
    inside = divide_logits(model, temperature)
    path = folder / "best.keras"
    save_model(model, path)
    stored = precision
    if precision == "auto":
        others = storage.folder_size(folder) - path.stat().st_size
        room = LARGEST - others - 400_000  # predictions and the card come on top
        stored = "float32" if path.stat().st_size <= room else "float16"
    if stored == "float16":
        halve_weights(path)
    facts = trained.model_facts | {"classes": list(trained.classes), "file_size": path.stat().st_size}
    storage.write_json(folder / "model.json", facts)
    calibration = {"temperature": 1.0 if inside else temperature, "fitted": temperature, "in_weights": inside}
    storage.write_json(folder / "calibration.json", calibration | {"fitted_on": fitted["fitted_on"]})
    return stored


def divide_logits(model: Any, temperature: float) -> bool:
    """Divide the last dense layer, which a softmax follows, by the temperature; False if there is none.

    softmax((W x + b) / T) is softmax scaled by T, so the network itself gives calibrated probabilities.
    """
    import keras

    ends = [layer for layer in model.layers[-2:] if isinstance(layer, keras.layers.Dense)]
    last = model.layers[-1]
    direct = ends and ends[-1] is last and last.activation is keras.activations.softmax
    through = (
        len(ends) == 1
        and isinstance(last, keras.layers.Softmax | keras.layers.Activation)
        and getattr(last, "activation", keras.activations.softmax) is keras.activations.softmax
        and ends[0].activation is keras.activations.linear
    )
    if not (direct or through):
        return False
    ends[-1].set_weights([values / temperature for values in ends[-1].get_weights()])
    return True


def halve_weights(path: Path) -> None:
    """Store the kernels in a `.keras` file as float16; vectors (biases, normalisation) stay float32.

    Keras converts them to the layers' float32 when it loads the file. Variances can exceed float16's range
    and are few, so they are left alone.
    """
    import h5py

    with tempfile.TemporaryDirectory(prefix="fer-halve-") as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extract("model.weights.h5", folder)
            others = {name: archive.read(name) for name in archive.namelist() if name != "model.weights.h5"}
        full, half = Path(folder) / "model.weights.h5", Path(folder) / "half.h5"
        with h5py.File(full, "r") as source, h5py.File(half, "w") as copy:
            _copy_halved(source, copy)
        with storage.replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, content in others.items():
                archive.writestr(name, content)
            archive.write(half, "model.weights.h5")


def _copy_halved(source: Any, target: Any) -> None:
    import h5py

    for key, value in source.attrs.items():
        target.attrs[key] = value
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_halved(item, target.create_group(name))
        else:
            large = item.ndim >= 2 and item.dtype == np.float32
            values = item[()].astype(np.float16) if large else item[()]
            if large and not np.isfinite(values).all():
                raise UserError("A weight does not fit into float16; package it with --precision float32.")
            target.create_dataset(name, data=values)


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise UserError(
            f"The starter would have {size / 1e6:.2f} MB, the limit is {LARGEST / 1e6:.0f} MB; nothing was "
            "written. Use --precision float16, or a smaller network."
        )


def _replace(target: Path, staging: Path) -> None:
    """Put the finished folder where the old one was, which goes last."""
    if target.exists() and not (target / CARD).exists() and any(target.iterdir()):
        raise UserError(
            f"The folder {target} holds something else than a starter; choose another with --out."
        )
    old = target.parent / f"{storage.STAGING_PREFIX}{uuid.uuid4().hex}"
    if target.exists():
        os.replace(target, old)
    os.replace(staging, target)
    shutil.rmtree(old, ignore_errors=True)


def read_card(folder: Path | None = None) -> dict[str, Any]:
    """The model card of the starter as it is stored; {} when there is no starter."""
    path = Path(folder or starter_directory()) / CARD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
