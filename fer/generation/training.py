"""Train the noise predictor as a run: stopped, resumed, listed and watched like any other.

The loss is ‖ε - ε̂(x_t, t, class)‖², averaged over the pixels and weighted over the steps as
`Schedule.loss_weights` says; without weights it is equation 14 of Ho et al. 2020. Images, order, steps,
noise and hidden classes are drawn by NumPy from (seed, epoch, step) alone and dropout's state is saved, so a
resumed run equals an uninterrupted one.

In the run's folder: `history.csv`, `progress.json`, `last/` (state), `best.keras` (averaged weights of the
epoch with the lowest loss on validation images), `last.keras` (of the last epoch) and, every n-th epoch,
`samples/epoch-0010.png`: eight faces from the same noise each time.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from fer import backend, storage
from fer.data.dataset import Dataset, open_dataset
from fer.errors import UserError
from fer.generation import network
from fer.generation.batches import Batch, Images
from fer.generation.config import DiffusionConfig
from fer.generation.division import divide
from fer.generation.sampling import Sampler
from fer.generation.steps import learning_rate, prepare, train_step
from fer.models.loading import save_model
from fer.training import records
from fer.training.ahead import ahead
from fer.training.averages import averaged_weights
from fer.training.errors import DataError, NotANumber, explain
from fer.training.state import State, load_state, save_state

SAVE_PERIOD = 120.0  # seconds between states within a long epoch
STRIP, STRIP_STEPS, STRIP_SEED = 8, 25, 0
VALIDATION_IMAGES = 256  # at most: its noise is fixed, so epochs compare all the same

Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]


def run(
    config: dict[str, Any], directory: Path, progress: Progress, should_stop: ShouldStop
) -> dict[str, Any]:
    """The job `diffusion` of `fer.runs`."""
    checked = DiffusionConfig.from_json(config)
    try:
        return DiffusionTraining(checked, Path(directory), progress, should_stop).run()
    except Exception as error:
        explained = explain(error, checked.batch_size)
        if explained is error:
            raise
        raise explained from error


class DiffusionTraining:
    """One sitting of a run: the network, the images, the state, and the loop."""

    def __init__(
        self,
        config: DiffusionConfig,
        directory: Path,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ):
        self.config, self.directory = config, directory
        self.should_stop = should_stop or (lambda: False)
        self.device = backend.select_device(config.device)
        self.policy = backend.choose_precision(config.precision, self.device)
        facts = {"device": self.device, "precision": self.policy, "epochs": config.epochs}
        self.progress = records.Progress(directory, facts, progress)
        self.state = load_state(directory / "last") or State()
        self._show("preparing", now=True)
        backend.make_deterministic(config.seed, False)
        self.dataset = _dataset(config)
        self.parts = divide(self.dataset, config)
        self.images = self._images(self.parts["train"])
        self.validation = self._images(self.parts["validation"][:VALIDATION_IMAGES])
        self.model = network.build(
            config.noise, len(config.classes), config.widths, config.dropout, self.policy
        )
        self.optimizer = prepare(self.model, config)
        self.sampler = Sampler(self.model, config.noise, config.classes)
        self.steps = -(-len(self.images) // config.batch_size)

    def _images(self, indices: np.ndarray) -> Images:
        return Images(self.config, self.dataset.images[indices], self.dataset.labels[indices])

    def run(self) -> dict[str, Any]:
        """All epochs that are left; `{"stopped", "metrics"}`."""
        self._restore()
        recorded = self.directory / "environment.json"
        if not recorded.exists():
            storage.write_json(recorded, self._facts())
        while self.state.epoch < self.config.epochs:
            if not self._epoch():
                return {"stopped": True, "metrics": self._metrics()}
        if not self.state.finished:
            with averaged_weights(self.optimizer):
                save_model(self.model, self.directory / "last.keras")
            self.state.finished = True
            self._save()
        self._show("finished", now=True)
        return {"stopped": False, "metrics": self._metrics()}

    def _restore(self) -> None:
        write_history(self.directory, self.state.rows)
        if self.state.sequence == 0 or self.state.finished:
            return
        shapes = [tuple(v.shape) for v in self.model.variables]
        if shapes != [value.shape for value in self.state.network]:
            raise DataError(
                f"The state in {self.directory / 'last'} is of another network.", "Start a new run."
            )
        _assign(self.model.variables, self.state.network)
        _assign(self.optimizer.variables, self.state.optimizer)

    def _epoch(self) -> bool:
        """The rest of one epoch; False if stopped before it was complete."""
        state, started, saved = self.state, time.monotonic(), time.monotonic()
        if state.step == 0:
            state.totals = {"loss": 0.0, "images": 0.0, "seconds": 0.0}
        before = state.totals["seconds"]
        for step, batch in ahead(lambda step: self.images.batch(state.epoch, step), state.step, self.steps):
            if self.should_stop():
                self._save()
                return False
            self._step(step, batch)
            state.totals["seconds"] = before + time.monotonic() - started
            self._show_step()
            if time.monotonic() - saved > SAVE_PERIOD:
                self._save()
                saved = time.monotonic()
        trained = state.totals["seconds"]
        self._show("validating")
        with averaged_weights(self.optimizer):
            validation_loss = self._validate()
            if validation_loss is None:
                pass
            elif state.best.improved(validation_loss, "val_loss"):
                state.best_epoch = state.epoch + 1
                save_model(self.model, self.directory / "best.keras")
            if validation_loss is not None and self._wants_strip():
                self._strip()
        if validation_loss is None:
            self._save()
            return False
        state.totals["seconds"] = before + time.monotonic() - started
        self._complete(validation_loss, trained)
        return True

    def _step(self, step: int, batch: Batch) -> None:
        state, config = self.state, self.config
        loss = train_step(self.model, batch, self._rate(state.epoch * self.steps + step))
        if not math.isfinite(loss):
            lower = float(f"{config.learning_rate / 10:.3g}")
            raise NotANumber(
                f"The loss is not a number any more in epoch {state.epoch + 1}, step {step + 1} of "
                f"{self.steps} (learning rate {config.learning_rate:.3g}).",
                f"Lower the learning rate, for example to {lower:g}.",
                {"learning_rate": lower},
            )
        state.totals["loss"] += loss * len(batch.noise)
        state.totals["images"] += len(batch.noise)
        state.step = step + 1

    def _rate(self, done: int) -> float:
        return learning_rate(self.config, done, self.config.epochs * self.steps)

    def _validate(self) -> float | None:
        """Mean loss on validation images, steps spread evenly and noise fixed; None if stopped."""
        total, size = 0.0, self.config.batch_size
        for step in range(-(-len(self.validation) // size)):
            if self.should_stop():
                return None
            batch = self.validation.fixed(step)
            found = np.asarray(self.model.predict_on_batch(batch.inputs), dtype=np.float32)
            errors = batch.weights * np.square(found - batch.noise).mean((1, 2, 3))
            total += float(errors[: len(self.validation) - step * size].sum())
        return total / len(self.validation)

    def _complete(self, validation_loss: float, trained: float) -> None:
        state, totals = self.state, self.state.totals
        state.epoch, state.step = state.epoch + 1, 0
        state.seconds += totals["seconds"]
        row = {
            "epoch": state.epoch,
            "loss": totals["loss"] / totals["images"],
            "val_loss": validation_loss,
            "learning_rate": self._rate(state.epoch * self.steps - 1),
            "seconds": totals["seconds"],
            "images_per_second": totals["images"] / max(trained, 1e-9),
        }
        state.rows.append(row)
        write_history(self.directory, state.rows)
        self._save()
        self._show(f"epoch {state.epoch} of {self.config.epochs}", now=True)

    def _wants_strip(self) -> bool:
        every, epoch = self.config.samples_every, self.state.epoch + 1
        return bool(every) and (epoch % every == 0 or epoch == self.config.epochs)

    def _strip(self) -> None:
        """Eight faces from the same noise as ever, as one PNG of 8 · 48 × 48 pixels."""
        self._show("drawing samples", now=True)
        each = np.array_split(np.arange(STRIP), min(len(self.config.classes), STRIP))
        steps = min(STRIP_STEPS, self.config.timesteps)
        faces = [
            self.sampler.sample(name, len(share), STRIP_SEED, steps, guidance=1.0).images
            for name, share in zip(self.config.classes, each, strict=False)
        ]
        strip = np.concatenate(list(np.concatenate(faces)), axis=1)
        encoded = cv2.imencode(".png", strip)[1].tobytes()
        storage.write_bytes(self.directory / "samples" / f"epoch-{self.state.epoch + 1:04d}.png", encoded)

    def _save(self) -> None:
        finished = self.state.finished
        self.state.network = [] if finished else _values(self.model.variables)
        self.state.optimizer = [] if finished else _values(self.optimizer.variables)
        save_state(self.state, self.directory / "last")

    def _facts(self) -> dict[str, Any]:
        return {
            "versions": backend.versions(),
            "backend": backend.backend_name(),
            "device": self.device,
            "precision": self.policy,
            "revision": records.revision(),
            "dataset": self.dataset.fingerprint,
            "dataset_name": self.dataset.name,
            "images": {name: len(indices) for name, indices in self.parts.items()},
            "parameters": int(self.model.count_params()),
        }

    def _metrics(self) -> dict[str, Any]:
        rows = self.state.rows
        if not rows:
            return {}
        best = min(rows, key=lambda row: row["val_loss"])
        return {
            "loss": rows[-1]["loss"],
            "val_loss": best["val_loss"],
            "best_epoch": best["epoch"],
            "parameters": int(self.model.count_params()),
            "images": len(self.images),
        }

    def _show(self, text: str, now: bool = False) -> None:
        content = {"epoch": self.state.epoch, "epochs": self.config.epochs, "step": 0, "steps": 0}
        self.progress.update(content, text, now)

    def _show_step(self) -> None:
        state, totals = self.state, self.state.totals
        speed = totals["images"] / max(totals["seconds"], 1e-9)
        left = (self.steps - state.step) + (self.config.epochs - state.epoch - 1) * self.steps
        content = {
            "epoch": state.epoch,
            "epochs": self.config.epochs,
            "step": state.step,
            "steps": self.steps,
            "loss": totals["loss"] / totals["images"],
            "images_per_second": speed,
            "seconds_left": left * self.config.batch_size / speed,
        }
        self.progress.update(content, f"epoch {state.epoch + 1} of {self.config.epochs}")


COLUMNS = ("epoch", "loss", "val_loss", "learning_rate", "seconds", "images_per_second")


def write_history(directory: Path, rows: list[dict[str, Any]]) -> None:
    """Replace `history.csv` by `rows`, one per completed epoch."""
    lines = [",".join(COLUMNS), *(",".join(str(row[name]) for name in COLUMNS) for row in rows)]
    storage.write_text(directory / "history.csv", "\n".join(lines) + "\n")


def _dataset(config: DiffusionConfig) -> Dataset:
    try:
        return open_dataset(config.dataset)
    except UserError as error:
        raise DataError(str(error), "Check the data set on the Data page, then start again.") from error


def _values(variables: list[Any]) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
