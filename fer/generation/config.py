"""What a diffusion run trains: frozen, checked, JSON round trip. No keras here."""

from dataclasses import asdict, dataclass, field
from typing import Any

from fer.checks import check_choice, check_flag, check_integer, check_keys, check_number
from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.generation.schedule import FEWEST_STEPS, MOST_STEPS, SCHEDULES, WEIGHTINGS, Schedule

PRECISIONS: tuple[str, ...] = ("auto", "float32", "bfloat16")
RECIPE = "ddpm"


@dataclass(frozen=True)
class DiffusionConfig:
    """One training of the noise predictor.

    Attributes:
        dataset: fingerprint.
        classes: of `EMOTIONS`, kept in their order. One class trains an unconditional network, as study A
            did with disgust; several a conditional one.
        split: only its training images are learned from, so a classifier with the same split can use the
            samples: neither has seen the other's validation images.
        epochs: 1 to 10,000.
        batch_size: 1 to 1,024.
        learning_rate: of Adam, after a linear warm-up over `WARMUP_STEPS` steps; from there it falls to 0
            along half a cosine by the last step.
        schedule, timesteps: of the noise.
        weighting: what the steps count in the loss, see `Schedule.loss_weights`.
        ema: largest decay of the weight averaging per step. After n steps it is at most (1 + n) / (10 + n),
            so that the average reaches back over the last tenth of a short training too, and not to its
            random beginning. Validation, samples and saved files use the average.
        balanced: show each class equally often, however many images it has; an epoch has as many steps
            either way. Without meaning for one class.
        unconditional: share of the images whose class is hidden, for classifier-free guidance (Ho &
            Salimans 2022 found 0.1 to 0.2 best); without meaning for one class.
        dropout: inside the residual blocks of the low resolutions.
        flip: mirror half of the images.
        samples_every: epochs between two strips of samples, 0 for none.
        widths: channels of the U-Net at 48, 24, 12 and 6 pixels.
        seed, precision, device, limit: as in `TrainConfig`; the seed decides weights, order, steps, noise.

    Raises:
        UserError: a value outside its limits, with the limits.
    """

    dataset: str
    classes: tuple[str, ...] = ("disgust",)
    split: SplitConfig = field(default_factory=SplitConfig)
    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    timesteps: int = 1000
    weighting: str = "velocity"
    ema: float = 0.9999
    balanced: bool = True
    unconditional: float = 0.15
    dropout: float = 0.1
    flip: bool = True
    samples_every: int = 10
    widths: tuple[int, ...] = (32, 64, 96, 96)
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    limit: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise UserError("No data set is chosen. Import one, or choose 'demo'.")
        if not isinstance(self.classes, list | tuple) or not self.classes:
            raise UserError(f"The classes are {str(self.classes)[:80]!r}; give at least one of the seven.")
        for name in self.classes:
            check_choice("class", name, EMOTIONS)
        object.__setattr__(self, "classes", tuple(name for name in EMOTIONS if name in self.classes))
        if not isinstance(self.split, SplitConfig):
            raise UserError("The setting split is no SplitConfig.")
        check_integer("number of epochs", self.epochs, 1, 10_000)
        check_integer("batch size", self.batch_size, 1, 1024)
        check_number("learning rate", self.learning_rate, 1e-12, 1)
        check_choice("noise schedule", self.schedule, SCHEDULES)
        check_integer("number of noise steps", self.timesteps, FEWEST_STEPS, MOST_STEPS)
        check_choice("loss weighting", self.weighting, WEIGHTINGS)
        check_number("EMA decay", self.ema, 0.5, 0.99999)
        check_number("share of hidden classes", self.unconditional, 0, 0.9)
        check_number("dropout", self.dropout, 0, 0.9)
        check_flag("balanced", self.balanced)
        check_flag("flip", self.flip)
        check_integer("number of epochs between samples", self.samples_every, 0, 10_000)
        self._check_widths()
        check_integer("seed", self.seed, 0, 2**31 - 1)
        check_choice("precision", self.precision, PRECISIONS)
        if self.limit is not None:
            check_integer("limit", self.limit, 1, 10_000_000)

    def _check_widths(self) -> None:
        widths = tuple(self.widths) if isinstance(self.widths, list | tuple) else ()
        if not 1 <= len(widths) <= 4:
            raise UserError(f"The widths are {str(self.widths)[:80]!r}; give 1 to 4 of them.")
        for width in widths:
            check_integer("width", width, 8, 512)
            if width % 8:
                raise UserError(f"The width {width} is no multiple of 8, the number of normalised groups.")
        object.__setattr__(self, "widths", widths)

    @property
    def conditional(self) -> bool:
        """Whether the network is told a class."""
        return len(self.classes) > 1

    @property
    def noise(self) -> Schedule:
        """The forward process."""
        return Schedule(self.schedule, self.timesteps)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self) | {
            "classes": list(self.classes),
            "widths": list(self.widths),
            "split": self.split.to_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "DiffusionConfig":
        """The config `to_json` described; an unknown key or value raises `UserError`."""
        values = dict(check_keys("diffusion training", content, cls))
        if "dataset" not in values:
            raise UserError("The diffusion config names no data set; add the key 'dataset'.")
        if "split" in values:
            values["split"] = SplitConfig.from_json(values["split"])
        return cls(**values)
