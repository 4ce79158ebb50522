"""The one description of a training, complete enough to repeat it: frozen, checked, JSON round trip.

No keras here: pages read, change and show configs without importing it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fer.augmentation import AugmentationConfig
from fer.checks import check_choice, check_flag, check_integer, check_keys, check_number
from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.models import MODELS, PREPROCESSINGS
from fer.training.phase import MONITORS, Phase
from fer.training.settings import changed

PRECISIONS: tuple[str, ...] = ("auto", "float32", "bfloat16", "float16")
LOSSES: tuple[str, ...] = ("crossentropy", "focal")
CHECKPOINTS: tuple[str, ...] = (*MONITORS, "last")
TEACHERS_LIMIT = 8
BATCH_LIMIT = 4096
_DEVICE = re.compile(r"auto|cpu|gpu:\d{1,2}")


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, how.

    Attributes:
        recipe: the recipe it came from, for the record.
        dataset: fingerprint of the data set.
        model, model_options: an entry of `MODELS` and options of its `build`.
        classes: names to keep, in the order of `EMOTIONS`; all seven by default (study D drops one).
        split: how the data set is divided.
        selection: name of the selection of kept, dropped and relabelled images; '' for none.
        phases: one after the other.
        batch_size: images per step, 1 to 4,096.
        seed: of weights, order, augmentation, dropout and mixing.
        precision: `auto` takes bfloat16 where the processor or GPU computes it natively.
        device: `auto` (a GPU if there is one), `cpu`, `gpu:0`, …; a GPU that cannot be used is an error.
        preprocessing: `scale` (pixels / 255) or `standardise` (then each image to mean 0, variance 1).
        augmentation: how training images are varied.
        loss: `crossentropy`, or `focal` (Lin et al. 2017) with `focal_gamma`.
        label_smoothing: ε of Szegedy et al. 2016, 0 to 0.9.
        class_weights: `none`, `balanced` (N / (K·n_c) over what an epoch shows, the repeats of `oversample`
            included; in a `hard` phase over all training images, each once) or `{class: weight}`, classes
            left out weigh 1.
        mixup, cutmix: α of the Beta distribution, 0 for off (Zhang et al. 2018, Yun et al. 2019); with
            both, each batch takes one of them.
        oversample: `{class: N}`: repeat a class's images up to N an epoch (each repeat is varied anew).
        smote: finished run whose features are balanced by SMOTE to train only the last layer; '' for off.
        generated: set of generated faces (`name` or `name@version`) that trains too; '' for none. It never
            validates or tests.
        generated_per_class: at most this many of each class of it; None for all.
        initial: run whose best weights this training starts from; '' for random (or pretrained) ones.
        teachers: runs whose answers soften the labels (distillation, Hinton et al. 2015); () for none. One
            that is named twice counts twice.
        distillation: share of the teachers' mean answer in each target, 0 to 1; the label has the rest.
        hard_samples: epochs of retraining on wrongly classified images after the last phase; 0 for off.
        settle: at the end, the best network's BatchNorm gets the means and variances of the training images
            as they are, and keeps them if `checkpoint_monitor` agrees; see `fer.training.settling`.
        early_stopping_patience: epochs without improvement of `early_stopping_monitor` that end a phase;
            0 for off.
        checkpoint_monitor: which validation figure chooses the best epoch; `last` takes the last one, for a
            training whose recipe was chosen elsewhere and that leaves next to nothing to validate on.
        ema: weight averaging: decay per step, 0 (off) or 0.5 to 0.99999.
        jit: compile with XLA (always on under JAX).
        gradient_accumulation: steps whose gradients are averaged into one update.
        deterministic: the same config gives the same history to 1e-6 (float32 on the CPU); slower.
        limit: at most this many images to train and to validate on, None for all; for a quick run.

    Raises:
        UserError: a value outside its limits, with the limits and what to give instead.
    """

    dataset: str
    recipe: str = "custom"
    model: str = "baseline_cnn"
    model_options: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = EMOTIONS
    split: SplitConfig = field(default_factory=SplitConfig)
    selection: str = ""
    phases: tuple[Phase, ...] = (Phase(),)
    batch_size: int = 64
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    preprocessing: str = "scale"
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loss: str = "crossentropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    class_weights: str | dict[str, float] = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    oversample: dict[str, int] = field(default_factory=dict)
    smote: str = ""
    generated: str = ""
    generated_per_class: int | None = None
    initial: str = ""
    teachers: tuple[str, ...] = ()
    distillation: float = 0.7
    hard_samples: int = 0
    settle: bool = False
    early_stopping_patience: int = 0
    early_stopping_monitor: str = "val_accuracy"
    checkpoint_monitor: str = "val_accuracy"
    ema: float = 0.0
    jit: bool = False
    gradient_accumulation: int = 1
    deterministic: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        self._check_what()
        self._check_how()

    def _check_what(self) -> None:
        for name in ("dataset", "recipe", "selection", "smote", "generated", "initial"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > 200:
                raise UserError(f"The setting {name} is {str(value)[:80]!r}; give a name.")
        if not self.dataset:
            raise UserError("No data set is chosen. Import one, or choose 'demo'.")
        check_choice("model", self.model, MODELS)
        known = MODELS[self.model].options
        if not isinstance(self.model_options, Mapping):
            raise UserError(f"model_options is {str(self.model_options)[:80]!r}; give {{option: value}}.")
        for option in self.model_options:
            check_choice(f"option of model {self.model!r}", option, known)
        self._set("model_options", dict(self.model_options))
        if not isinstance(self.classes, list | tuple):
            raise UserError(f"The classes are {str(self.classes)[:80]!r}; give a list of names.")
        for name in self.classes:
            check_choice("class", name, EMOTIONS)
        self._set("classes", tuple(name for name in EMOTIONS if name in self.classes))
        if len(self.classes) < 2:
            raise UserError(f"{len(self.classes)} class is left; keep at least 2 of the 7.")
        for name, kind in (("split", SplitConfig), ("augmentation", AugmentationConfig)):
            if not isinstance(getattr(self, name), kind):
                raise UserError(f"The setting {name} is no {kind.__name__}.")
        phases = tuple(self.phases) if isinstance(self.phases, list | tuple) else ()
        if not 1 <= len(phases) <= 20 or not all(isinstance(phase, Phase) for phase in phases):
            raise UserError(f"A training has {len(phases)} phases; give 1 to 20.")
        self._set("phases", phases)

    def _check_how(self) -> None:
        self._set("batch_size", check_integer("batch size", self.batch_size, 1, BATCH_LIMIT))
        self._set("seed", check_integer("seed", self.seed, 0, 2**31 - 1))
        check_choice("precision", self.precision, PRECISIONS)
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise UserError(f"The device is {str(self.device)[:80]!r}; give auto, cpu or gpu:0, gpu:1, …")
        check_choice("preprocessing", self.preprocessing, PREPROCESSINGS)
        check_choice("loss", self.loss, LOSSES)
        self._set("focal_gamma", check_number("focal gamma", self.focal_gamma, 0, 10))
        self._set("label_smoothing", check_number("label smoothing", self.label_smoothing, 0, 0.9))
        if isinstance(self.class_weights, Mapping):
            weights = _per_class("class weight", self.class_weights)
            self._set(
                "class_weights", {c: check_number(f"weight of {c}", w, 0, 1000) for c, w in weights.items()}
            )
        elif self.class_weights not in ("none", "balanced"):
            raise UserError(
                f"The class weights are {str(self.class_weights)[:80]!r}; give none, balanced or a weight "
                'per class, such as {"disgust": 15}.'
            )
        self._set("mixup", check_number("MixUp alpha", self.mixup, 0, 10))
        self._set("cutmix", check_number("CutMix alpha", self.cutmix, 0, 10))
        counts = _per_class("oversampling", self.oversample)
        self._set(
            "oversample", {c: check_integer(f"count of {c}", n, 1, 1_000_000) for c, n in counts.items()}
        )
        self._set("hard_samples", check_integer("epochs on hard samples", self.hard_samples, 0, 1000))
        patience = check_integer("early stopping patience", self.early_stopping_patience, 0, 1000)
        self._set("early_stopping_patience", patience)
        check_choice("early stopping monitor", self.early_stopping_monitor, MONITORS)
        check_choice("checkpoint monitor", self.checkpoint_monitor, CHECKPOINTS)
        if self.ema:
            check_number("EMA decay", self.ema, 0.5, 0.99999)
        self._set("ema", check_number("EMA decay", self.ema, 0, 0.99999))
        check_flag("settle", self.settle)
        check_flag("jit", self.jit)
        check_flag("deterministic", self.deterministic)
        if self.deterministic and self.precision in ("bfloat16", "float16"):
            raise UserError(
                f"Deterministic training needs float32, not {self.precision}; set one of the two."
            )
        steps = check_integer("number of accumulated steps", self.gradient_accumulation, 1, 1024)
        self._set("gradient_accumulation", steps)
        if self.limit is not None:
            self._set("limit", check_integer("limit", self.limit, 1, 10_000_000))
        if self.generated_per_class is not None:
            count = check_integer("number of generated faces", self.generated_per_class, 1, 1_000_000)
            self._set("generated_per_class", count)
        if self.generated and self.smote:
            raise UserError(
                f"SMOTE ({self.smote!r}) trains the last layer on features of real faces only; leave out "
                f"the generated set {self.generated!r}, or SMOTE."
            )

        self._check_forerunners()

    def _check_forerunners(self) -> None:
        teachers: object = self.teachers
        if isinstance(teachers, str):
            teachers = [name.strip() for name in teachers.split(",") if name.strip()]
        if not isinstance(teachers, list | tuple) or not all(isinstance(name, str) for name in teachers):
            raise UserError(f"The teachers are {str(teachers)[:80]!r}; give names of runs.")
        if len(teachers) > TEACHERS_LIMIT or any(not 0 < len(name) <= 200 for name in teachers):
            raise UserError(f"There are {len(teachers)} teachers; name up to {TEACHERS_LIMIT} runs.")
        self._set("teachers", tuple(teachers))
        self._set("distillation", check_number("share of the teachers", self.distillation, 0, 1))
        if self.smote and (self.initial or self.teachers):
            raise UserError(
                f"SMOTE ({self.smote!r}) trains the last layer of a finished run on balanced features; leave "
                "out the teachers and the initial weights, or SMOTE."
            )

    @property
    def all_phases(self) -> tuple[Phase, ...]:
        """The phases that run: with `hard_samples`, one more on the images classified wrongly."""
        if not self.hard_samples:
            return self.phases
        values = self.phases[-1].to_json() | {
            "name": "hard samples",
            "images": "hard",
            "epochs": self.hard_samples,
            "warmup_epochs": 0.0,
        }
        return (*self.phases, Phase.from_json(values))

    def on_features(self, phase: Phase) -> bool:
        """Whether a phase trains on features that SMOTE balanced, and not on images."""
        return bool(self.smote) or phase.images == "smote"

    @property
    def epochs(self) -> int:
        """Epochs of all phases together, at most."""
        return sum(phase.epochs for phase in self.all_phases)

    @property
    def own_epochs(self) -> int:
        """Epochs of `phases` alone, at most: what the setting `epochs` changes."""
        return sum(phase.epochs for phase in self.phases)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`; `from_json` restores an equal config."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        content["split"] = self.split.to_json()
        content["augmentation"] = self.augmentation.to_json()
        content["phases"] = [phase.to_json() for phase in self.phases]
        content["classes"] = list(self.classes)
        return json.loads(json.dumps(content))

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "TrainConfig":
        """The config `to_json` described.

        Raises:
            UserError: unknown keys, or values outside their limits.
        """
        values = dict(check_keys("training", content, cls))
        if "dataset" not in values:
            raise UserError("The training config names no data set; add the key 'dataset'.")
        if "split" in values:
            values["split"] = SplitConfig.from_json(values["split"])
        if "augmentation" in values:
            values["augmentation"] = AugmentationConfig.from_json(values["augmentation"])
        if "phases" in values:
            if not isinstance(values["phases"], list):
                raise UserError("The phases of a training are a list.")
            values["phases"] = tuple(Phase.from_json(phase) for phase in values["phases"])
        return cls(**values)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True))


def _per_class(what: str, values: object) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"The {what} is {str(values)[:80]!r}; give {{class: number}}.")
    return {check_choice("class", emotion, EMOTIONS): value for emotion, value in values.items()}


def with_settings(config: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """`config` with some settings changed, as `--set key=value` and forms give them.

    settings: keys as in `fer.training.settings.changed`; text values are read as what the key holds.

    Raises:
        UserError: an unknown key, or a value outside its limits.
    """
    return TrainConfig.from_json(changed(config.to_json(), settings))


def with_seeds(config: TrainConfig, count: int) -> list[TrainConfig]:
    """`count` configs that differ only in their seed, config's own first: one experiment, mean ± std."""
    check_integer("number of seeds", count, 1, 100)
    return [replace(config, seed=(config.seed + n) % 2**31) for n in range(count)]
