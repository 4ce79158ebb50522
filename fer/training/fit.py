"""`fit`: train what a config describes in a run directory, or go on where the directory's state ends.

The page, the queue and the command line all come through here. The loop is our own around Keras's
compiled `train_on_batch`, because stopping after any step and resuming there, with the same batches,
rates and dropout as without the stop, is what it is for.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer import backend
from fer.augmentation import AugmentationConfig
from fer.models.loading import save_model
from fer.storage import read_json, write_json
from fer.training import network, records
from fer.training.ahead import ahead
from fer.training.averages import averaged_weights
from fer.training.config import TrainConfig
from fer.training.data import Batch, Batches, class_weights, load_data, oversampled
from fer.training.effects import check_effects
from fer.training.errors import DataError, NotANumber, explain
from fer.training.forerunners import forerunners, seen_by, soft_labels, take_weights
from fer.training.phase import Phase
from fer.training.schedules import Plateau, Watch, step_rate
from fer.training.settling import settle
from fer.training.smote import BalancedFeatures, base_network, trained_part
from fer.training.state import State, load_state, save_state
from fer.training.tracking import Tracker

SAVE_PERIOD = 120.0  # seconds between states within a long epoch, at least 20 times what saving takes


@dataclass(frozen=True)
class FitResult:
    """stopped: it was asked to stop and can be resumed. metrics: as `run.metrics()` shows them."""

    stopped: bool
    metrics: dict[str, Any] = field(default_factory=dict)


def fit(
    config: TrainConfig,
    directory: Path,
    progress: Callable[[float, str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Train, evaluate, and leave everything in `directory`.

    Args:
        config: what to train.
        directory: of the run; a state in its `last/` is continued.
        progress: called with a fraction in [0, 1] and a short text, at most once a second.
        should_stop: asked after every step; once True, the state is saved and `fit` returns.

    Raises:
        TrainingError: out of memory, a loss that is not a number, data, a full disk, a device; each with
            its remedy.
        UserError: a config that does not fit the model.
    """
    directory = Path(directory)
    tracker = Tracker(directory, config.to_json())
    try:
        training = Training(config, directory, progress, should_stop or (lambda: False), tracker)
        result = training.run()
    except Exception as error:
        tracker.finish("FAILED")
        explained = explain(error, config.batch_size)
        if explained is error:
            raise
        raise explained from error
    tracker.finish("KILLED" if result.stopped else "FINISHED", result.metrics)
    return result


class Training:
    """One call of `fit`: the network, the data, the state, and the loop over phases, epochs and steps."""

    def __init__(
        self,
        config: TrainConfig,
        directory: Path,
        progress: Callable[[float, str], None] | None,
        should_stop: Callable[[], bool],
        tracker: Tracker,
    ):
        directory.mkdir(parents=True, exist_ok=True)
        self.config, self.directory, self.should_stop = config, directory, should_stop
        self.tracker = tracker
        self.device = backend.select_device(config.device)
        self.policy = backend.choose_precision(config.precision, self.device, config.deterministic)
        facts = {"device": self.device, "precision": self.policy, "epochs": config.epochs}
        self.progress = records.Progress(directory, facts, progress)
        self.state = load_state(directory / "last") or State()
        self._show("preparing", now=True)
        backend.make_deterministic(config.seed, config.deterministic)
        self.data = load_data(config, self._recorded("selection"), self._recorded("generated"))
        facts = records.environment(config, self.data, self.device, self.policy)
        if self.state.sequence == 0:  # one that has begun goes on, whatever an earlier version let begin
            check_effects(config)
        before = seen_by(forerunners(config, self.data))
        records.write_inputs(directory, config, self.data, facts, before)
        self.model = base_network(config) if config.smote else network.build_network(config, self.policy)
        self.model.jit_compile = backend.resolved_jit(config.jit)
        network.check_phases(config, self.model)
        if config.initial and self.state.sequence == 0:
            take_weights(self.model, config)
        records.write_model_facts(directory, config, self.model)
        self.events = records.Events(directory)

    def run(self) -> FitResult:
        """All phases that are left, then the evaluation."""
        self._restore()
        if not self._ask_teachers():
            return FitResult(True, self._training_metrics())
        for number in range(self.state.phase, len(self.config.all_phases)):
            if not self._phase(number):
                return FitResult(True, self._training_metrics())
        # A run resumed after its phases went through none of them, so all of its network is trainable.
        on_images = [phase for phase in self.config.all_phases if not self.config.on_features(phase)]
        network.set_trainable(self.model, on_images[-1] if on_images else Phase())
        if not self._settle():
            return FitResult(True, self._training_metrics())
        self.events.close()
        return self._evaluate()

    def _ask_teachers(self) -> bool:
        """Soften the labels by the teachers' answers, if there are teachers; False if stopped meanwhile."""
        if not self.config.teachers or self.state.finished:
            return True
        soft = soft_labels(
            self.config, self.data, self.directory, self.should_stop, lambda text: self._show(text, now=True)
        )
        if soft is not None:
            self.data = replace(self.data, soft=soft)
        return soft is not None

    def _recorded(self, what: str) -> str:
        """The version of the selection or generated set this run began with; '' for a new run."""
        recorded = self.directory / "environment.json"
        return str(read_json(recorded).get(what, "")) if recorded.exists() else ""

    def _restore(self) -> None:
        """Continue the state on disk, if there is one: history rewritten, weights and random state back."""
        records.write_history(self.directory, self.state.rows)
        for row in self.state.rows:
            self.tracker.add(row)
        recorded = self.directory / "best.json"
        if recorded.exists() and (self.directory / "best.keras").exists():
            best = read_json(recorded)  # written after best.keras and before the state, so never older
            self.state.best_epoch = best["epoch"]
            self.state.best.best = best.get(self.config.checkpoint_monitor, best["epoch"])  # of `last`
        if self.state.sequence == 0 or self.state.finished:
            return
        shapes = [tuple(v.shape) for v in self.model.variables]
        if shapes != [value.shape for value in self.state.network]:
            raise DataError(
                f"The state in {self.directory / 'last'} is of another network than {self.config.model}.",
                "Start a new run.",
            )
        _assign(self.model.variables, self.state.network)

    def _phase(self, number: int) -> bool:
        """Run phase `number` from where the state is; False if stopped."""
        phase = self.config.all_phases[number]
        state = self.state
        fresh = state.phase_epoch == 0 and state.step == 0
        if fresh:
            state.stopping, state.plateau, state.hard = Watch(), Plateau(Watch()), None
            if number > 0 and phase.start == "best" and not state.from_best:
                self._take_best()
            if phase.images == "hard" and not self._find_hard():
                return False
        batches = self._batches(number, phase)
        if batches is None:
            return False
        trained, compiled = trained_part(self.model, self.config, phase)
        self.trainer = network.compile_for(trained, self.config, compiled, self.policy)
        if not fresh:
            _assign(self.trainer.optimizer.variables, state.optimizer)
        self.prepare = self._preparer(phase)
        while state.phase_epoch < phase.epochs and not self._enough(phase):
            if not self._epoch(phase, batches):
                return False
        state.phase, state.phase_epoch, state.from_best = number + 1, 0, False
        state.finished = state.phase == len(self.config.all_phases)
        self._save(optimizer=False)
        return True

    def _take_best(self) -> None:
        """Go back to the best weights so far, and record that before an epoch from there can be the best."""
        best = self.directory / "best.keras"
        if best.exists():
            self.model.load_weights(best)
        self.state.from_best = True
        self._save(optimizer=False)

    def _preparer(self, phase: Phase) -> Callable[[Batch], Any]:
        if self.config.on_features(phase):
            return lambda batch: batch.images
        mixes = bool(self.config.mixup or self.config.cutmix)
        return network.preparer(self.config.augmentation if phase.augment else AugmentationConfig(), mixes)

    def _batches(self, number: int, phase: Phase) -> Batches | BalancedFeatures | None:
        """What the phase's steps read; None if stopped while it was made."""
        if self.config.on_features(phase):
            self._show("balancing features with SMOTE", now=True)
            features = BalancedFeatures(self.config, self.data, self.model, number, self.should_stop)
            return None if features.stopped else features
        train = self.data.trained_on
        indices = train if self.state.hard is None else self.state.hard
        indices = oversampled(self.config, indices, self.data.labels) if phase.images == "all" else indices
        # A class that was grown is not rare any more: weights that balance are of what an epoch shows.
        shown = train if phase.images == "hard" else indices
        weights = class_weights(self.config, self.data.labels[shown])
        return Batches(self.config, self.data, indices, number, phase.augment, weights)

    def _find_hard(self) -> bool:
        """Record which training images the network classifies wrongly now; False if stopped."""
        self._show("looking for hard samples", now=True)
        train = self.data.splits["train"]
        probabilities = self._predict(train)
        if probabilities is None:
            return False
        wrong = train[probabilities.argmax(axis=1) != self.data.labels[train]]
        self.state.hard = wrong if len(wrong) else train
        return True

    def _enough(self, phase: Phase) -> bool:
        patience = self.config.early_stopping_patience
        return bool(patience and self.state.stopping.wait >= patience)

    def _epoch(self, phase: Phase, batches: Batches | BalancedFeatures) -> bool:
        """Train the rest of one epoch, validate, and record it; False if stopped before it was complete."""
        state, started = self.state, time.monotonic()
        order = batches.order(state.epoch)
        if state.step == 0:
            state.totals = {"loss": 0.0, "correct": 0.0, "images": 0.0, "seconds": 0.0}
        before, saved = state.totals["seconds"], time.monotonic()
        rate = phase.learning_rate
        for step, (batch, images) in ahead(self._maker(batches, order), state.step, batches.steps):
            if self.should_stop():
                self._save()
                return False
            rate = step_rate(phase, state.phase_epoch, step, batches.steps, state.plateau.scale)
            self._step(batch, images, rate, batches.steps)
            state.totals["seconds"] = before + time.monotonic() - started
            self._show_step(phase, batches)
            if time.monotonic() - saved > SAVE_PERIOD:
                self._save()
                saved = time.monotonic()
        self._show("validating")
        trained = state.totals["seconds"]
        figures = self._validate()
        if figures is None:
            self._save()
            return False
        if not math.isfinite(figures["val_loss"]):  # the last step ruined the weights: no later one can tell
            raise self._not_a_number(f"in validation after step {batches.steps} of {batches.steps}", rate)
        state.totals["seconds"] = before + time.monotonic() - started
        self._complete(phase, figures, rate, trained)
        return True

    def _maker(
        self, batches: Batches | BalancedFeatures, order: np.ndarray
    ) -> Callable[[int], tuple[Batch, Any]]:
        """A function from a step of this epoch to its batch and the network's input."""
        epoch, prepare = self.state.epoch, self.prepare

        def make(step: int) -> tuple[Batch, Any]:
            batch = batches.batch(order, epoch, step)
            return batch, prepare(batch)

        return make

    def _step(self, batch: Batch, images: Any, rate: float, steps: int) -> None:
        state = self.state
        network.inner_optimizer(self.trainer).learning_rate = rate
        logs = self.trainer.train_on_batch(
            images, batch.targets, sample_weight=batch.weights, return_dict=True
        )
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise self._not_a_number(f"step {state.step + 1} of {steps}", rate)
        count = len(batch.images)
        state.totals["loss"] += loss * count
        state.totals["correct"] += float(logs["accuracy"]) * count
        state.totals["images"] += count
        state.step += 1

    def _not_a_number(self, where: str, rate: float) -> NotANumber:
        """The error for this epoch, with a rate to try instead."""
        phase = self.state.phase
        lower = float(f"{self.config.all_phases[phase].learning_rate / 10:.3g}")
        alone = len({one.learning_rate for one in self.config.phases}) == 1
        key = "learning_rate" if alone else f"phases.{phase}.learning_rate"
        return NotANumber(
            f"The loss is not a number any more in epoch {self.state.epoch + 1}, {where} (learning rate "
            f"{rate:.3g}).",
            f"Lower the learning rate, for example to {lower:g}.",
            {key: lower} if phase < len(self.config.phases) else {},
        )

    def _validate(self) -> dict[str, float] | None:
        """Loss, accuracy and macro F1 on the validation images, un-augmented; None if stopped."""
        indices = self.data.splits["validation"]
        with averaged_weights(network.inner_optimizer(self.trainer)):
            probabilities = self._predict(indices)
        return None if probabilities is None else validation_figures(probabilities, self.data.labels[indices])

    def _predict(self, indices: np.ndarray) -> np.ndarray | None:
        batch = min(max(2 * self.config.batch_size, 32), 256)
        return network.predict(self.model, self.data.images[indices], batch, self.should_stop)

    def _complete(self, phase: Phase, figures: dict[str, float], rate: float, trained: float) -> None:
        """Record a finished epoch: best network, history, then the state."""
        state, totals = self.state, self.state.totals
        state.epoch, state.phase_epoch, state.step = state.epoch + 1, state.phase_epoch + 1, 0
        state.seconds += totals["seconds"]
        row = {
            "epoch": state.epoch,
            "loss": totals["loss"] / totals["images"],
            "accuracy": totals["correct"] / totals["images"],
            **figures,
            "learning_rate": rate,
            "seconds": totals["seconds"],
            "images_per_second": totals["images"] / trained,
            "phase": phase.name,
        }
        state.rows.append(row)
        monitor = self.config.checkpoint_monitor
        if state.best.improved(figures.get(monitor, state.epoch), monitor):
            state.best_epoch = state.epoch
            self._save_best(figures)
        state.stopping.improved(
            figures[self.config.early_stopping_monitor], self.config.early_stopping_monitor
        )
        state.plateau.update(phase, figures[phase.plateau_monitor])
        records.write_history(self.directory, state.rows)
        self._save()
        self.events.add(row)
        self.tracker.add(row)
        self._show(f"epoch {state.epoch} of {self.config.epochs}", now=True)

    def _settle(self) -> bool:
        """With `settle`, new BatchNorm statistics where they validate better; False if stopped.

        Done again, after a kill, it comes to the same: the statistics depend on weights and images alone.
        """
        recorded, best = self.directory / "best.json", self.directory / "best.keras"
        if not self.config.settle or self.config.smote or not best.exists():
            return True
        figures = read_json(recorded)
        if "settled" in figures:
            return True
        self._show("estimating BatchNorm's statistics anew", now=True)
        self.model.load_weights(best)
        images = self.data.images[self.data.splits["train"]]
        done = settle(self.model, images, self.config.batch_size, self.should_stop)
        probabilities = self._predict(self.data.splits["validation"]) if done else None
        if probabilities is None:
            return False
        new = validation_figures(probabilities, self.data.labels[self.data.splits["validation"]])
        monitor = self.config.checkpoint_monitor
        better = monitor not in new or Watch(figures[monitor]).improved(new[monitor], monitor)
        if better:
            save_model(self.model, best)
        write_json(recorded, figures | (new if better else {}) | {"settled": better})
        return True

    def _save_best(self, figures: dict[str, float]) -> None:
        with averaged_weights(network.inner_optimizer(self.trainer)):
            save_model(self.model, self.directory / "best.keras")
        write_json(self.directory / "best.json", {"epoch": self.state.best_epoch, **figures})
        if self.state.best_epoch == 1:
            records.write_model_facts(self.directory, self.config, self.model)

    def _save(self, optimizer: bool = True) -> None:
        finished = self.state.finished  # then best.keras is all that is needed
        self.state.network = [] if finished else _values(self.model.variables)
        self.state.optimizer = _values(self.trainer.optimizer.variables) if optimizer else []
        save_state(self.state, self.directory / "last")

    def _show(self, text: str, now: bool = False) -> None:
        rows = self.state.rows
        last = {name: rows[-1][name] for name in records.COLUMNS[1:6]} if rows else {}
        content = {"epoch": self.state.epoch, "epochs": self.config.epochs, "step": 0, "steps": 0, **last}
        self.progress.update(content, text, now)

    def _show_step(self, phase: Phase, batches: Batches | BalancedFeatures) -> None:
        state, totals = self.state, self.state.totals
        speed = totals["images"] / max(totals["seconds"], 1e-9)
        epoch_seconds = state.rows[-1]["seconds"] if state.rows else batches.steps * batches.size / speed
        left = (batches.steps - state.step) * batches.size / speed
        left += (self.config.epochs - state.epoch - 1) * epoch_seconds
        content = {
            "epoch": state.epoch,
            "epochs": self.config.epochs,
            "step": state.step,
            "steps": batches.steps,
            "images_per_second": speed,
            "seconds_left": left,
            "loss": totals["loss"] / totals["images"],
            "accuracy": totals["correct"] / totals["images"],
            "phase": phase.name,
        }
        text = f"epoch {state.epoch + 1} of {self.config.epochs}, step {state.step} of {batches.steps}"
        self.progress.update(content, text)

    def _training_metrics(self) -> dict[str, Any]:
        recorded = self.directory / "best.json"
        best = read_json(recorded) if recorded.exists() else {}
        return {name: best[name] for name in ("val_accuracy", "val_loss", "val_macro_f1") if name in best} | {
            "best_epoch": self.state.best_epoch,
            "epochs": self.state.epoch,
            "parameters": int(self.model.count_params()),
            "training_seconds": self.state.seconds,
        }

    def _evaluate(self) -> FitResult:
        """Predictions and reports of the best network, in float32."""
        from fer.evaluation.predictions import evaluate_run
        from fer.evaluation.report import run_report

        self._show("evaluating", now=True)
        splits = tuple(name for name in ("validation", "test") if len(self.data.splits[name]))
        evaluate_run(self.directory, self.data.dataset, splits=splits, should_stop=self.should_stop)
        reports = {name: run_report(self.directory, split=name) for name in splits}
        figures = reports.get("test", reports["validation"])
        names = ("accuracy", "accuracy_without_leaks", "balanced_accuracy", "macro_f1", "log_loss", "kappa")
        metrics = self._training_metrics() | {name: figures.get(name) for name in names}
        metrics["split"] = "test" if "test" in reports else "validation"
        records.write_model_facts(self.directory, self.config, self.model)
        self._show("finished", now=True)
        return FitResult(False, metrics)


def validation_figures(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`val_loss` (mean −log p of the true class), `val_accuracy` and `val_macro_f1`.

    probabilities: (N, K). labels: (N,) in 0 … K-1. Classes without images do not count in macro F1.
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    count = probabilities.shape[1]
    hits = np.bincount(labels[predicted == labels], minlength=count)
    named = np.bincount(labels, minlength=count) + np.bincount(predicted, minlength=count)
    present = np.bincount(labels, minlength=count) > 0
    return {
        "val_loss": float(np.mean(-np.log(np.clip(true, 1e-7, 1.0)))),  # a NaN stays one
        "val_accuracy": float(np.mean(predicted == labels)),
        "val_macro_f1": float(np.mean(2 * hits[present] / named[present])),
    }


def _values(variables: list[Any]) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
