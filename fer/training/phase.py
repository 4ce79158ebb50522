"""One phase of a training: what is trainable, by which optimizer, at which rate, for how long."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from fer.checks import check_choice, check_flag, check_integer, check_keys, check_number
from fer.errors import UserError

OPTIMIZERS: tuple[str, ...] = ("adam", "adamw", "sgd")
SCHEDULES: tuple[str, ...] = ("constant", "plateau", "cosine", "onecycle")
IMAGE_SETS: tuple[str, ...] = ("all", "hard", "smote")
MONITORS: tuple[str, ...] = ("val_loss", "val_accuracy", "val_macro_f1")
_RANGE = re.compile(r"layers (\d+)-(\d+)")


@dataclass(frozen=True)
class Phase:
    """One phase.

    Attributes:
        name: shown in the history.
        epochs: 1 to 1,000, at most; early stopping may end the phase sooner.
        optimizer: `adam`, `adamw`, or `sgd` (with Nesterov momentum).
        learning_rate: the highest rate of the schedule, above 0 up to 10.
        schedule: `constant`; `plateau` (times `plateau_factor` when `plateau_monitor` has not improved
            for `plateau_patience` epochs); `cosine` (Loshchilov & Hutter 2017, without restarts);
            `onecycle` (Smith & Topin 2018). The rate never falls below `minimum_learning_rate`.
        warmup_epochs: the rate rises linearly over these epochs first (not with `onecycle`).
        weight_decay: decoupled (AdamW), not applied to biases and normalisation; 0 to 1.
        momentum: of `sgd`, 0 to 0.999.
        trainable: `all`; `head` (what follows the backbone); `backbone` (only it); or `layers A-B`,
            `backbone.layers[A:B]` (counted from 0, B not included) and the head.
        images: `all` training images; `hard`: those the network classifies wrongly when the phase starts
            (study C); or `smote`: the features the network gives when the phase starts, its classes
            balanced by SMOTE, on which only the last layer is trained (study A).
        augment: whether this phase varies its images.
        start: weights a later phase starts from: the `best` so far, or the `last`.

    Raises:
        UserError: a value outside its limits.
    """

    name: str = "train"
    epochs: int = 15
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    plateau_monitor: str = "val_loss"
    minimum_learning_rate: float = 0.0
    weight_decay: float = 0.0
    momentum: float = 0.9
    trainable: str = "all"
    images: str = "all"
    augment: bool = True
    start: str = "best"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 1 <= len(self.name) <= 60 or not self.name.isprintable():
            raise UserError(f"The phase name is {str(self.name)[:80]!r}; give 1 to 60 characters.")
        self._set("epochs", check_integer("number of epochs", self.epochs, 1, 1000))
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        self._set("learning_rate", check_number("learning rate", self.learning_rate, 1e-12, 10))
        check_choice("schedule", self.schedule, SCHEDULES)
        self._set("warmup_epochs", check_number("number of warm-up epochs", self.warmup_epochs, 0, 1000))
        self._set("plateau_factor", check_number("plateau factor", self.plateau_factor, 0.01, 0.99))
        self._set("plateau_patience", check_integer("plateau patience", self.plateau_patience, 1, 1000))
        check_choice("plateau monitor", self.plateau_monitor, MONITORS)
        low = check_number("minimum learning rate", self.minimum_learning_rate, 0, 10)
        self._set("minimum_learning_rate", low)
        self._set("weight_decay", check_number("weight decay", self.weight_decay, 0, 1))
        self._set("momentum", check_number("momentum", self.momentum, 0, 0.999))
        if self.trainable not in ("all", "head", "backbone"):
            self.layer_range()
        check_choice("image set of a phase", self.images, IMAGE_SETS)
        check_flag("augment", self.augment)
        check_choice("start of a phase", self.start, ("best", "last"))
        if low > self.learning_rate:
            raise UserError(
                f"The minimum learning rate {low:g} is above the learning rate {self.learning_rate:g}; "
                "lower the minimum."
            )
        if self.schedule != "onecycle" and self.warmup_epochs >= self.epochs + 1:
            raise UserError(
                f"The warm-up of {self.warmup_epochs:g} epochs is longer than the phase's {self.epochs}; "
                "shorten the warm-up."
            )

    def layer_range(self) -> tuple[int, int] | None:
        """(start, stop) of `layers A-B`; None for the named sets."""
        if self.trainable in ("all", "head", "backbone"):
            return None
        match = _RANGE.fullmatch(str(self.trainable))
        if not match or not int(match[1]) < int(match[2]):
            raise UserError(
                f"What is trainable is {str(self.trainable)[:80]!r}; give all, head, backbone or a range "
                "like 'layers 160-175'."
            )
        return int(match[1]), int(match[2])

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Phase":
        """The phase `to_json` described; an unknown key raises `UnknownName`."""
        return cls(**check_keys("phase", content, cls))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
