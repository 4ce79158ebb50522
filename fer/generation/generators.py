"""A diffusion run as something to draw faces with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.data.dataset import Dataset, open_dataset
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.generation.config import DiffusionConfig
from fer.generation.division import divide

if TYPE_CHECKING:
    from fer.generation.sampling import Sampler, Samples
    from fer.runs import Run

KIND = "diffusion"
WEIGHTS: tuple[str, ...] = ("best", "last")


def generator_runs() -> list["Run"]:
    """Runs that can draw, the newest first."""
    from fer.runs import list_runs

    return [run for run in list_runs() if run.kind == KIND and (run.directory / "best.keras").exists()]


class Generator:
    """The network of a diffusion run, in float32, and the images it learned from.

    weights: `best` (lowest validation loss) or `last` (the last epoch, once the run has finished).
    """

    def __init__(self, run: "Run", weights: str = "best"):
        if run.kind != KIND:
            raise UserError(
                f"Run {run.name!r} is a {run.kind!r} run, not a generator. Choose a diffusion run."
            )
        if weights not in WEIGHTS:
            raise UnknownName("choice of weights", weights, WEIGHTS)
        self.run, self.config = run, DiffusionConfig.from_json(run.config)
        self.path: Path = run.directory / f"{weights}.keras"
        self._sampler: Sampler | None = None

    @property
    def sampler(self) -> "Sampler":
        """Loaded at its first use, which imports Keras."""
        if self._sampler is None:
            from fer.generation.sampling import Sampler
            from fer.models.loading import load_model

            self._sampler = Sampler(load_model(self.path), self.config.noise, self.config.classes)
        return self._sampler

    def sample(self, emotion: str, count: int = 16, **settings: Any) -> "Samples":
        """See `Sampler.sample`."""
        return self.sampler.sample(emotion, count, **settings)

    def dataset(self) -> Dataset:
        return open_dataset(self.config.dataset)

    def training_images(self, emotion: str | None = None) -> np.ndarray:
        """(N, 48, 48) uint8 images it learned from, of one class or all."""
        dataset = self.dataset()
        train = divide(dataset, self.config)["train"]
        if emotion is not None:
            train = train[dataset.labels[train] == EMOTIONS.index(emotion)]
        return np.asarray(dataset.images[train])


def origins(samples: "Samples", numbers: list[int]) -> list[dict[str, Any]]:
    """How some of the samples were drawn, for `dataset.accept`."""
    return [samples.settings | {"number": number} for number in numbers]
