"""What the Compare page is about: some runs, the images they are scored on, and how they are called."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import cached, state
from fer.data.dataset import list_datasets
from fer.errors import UserError
from fer.evaluation.comparison import Comparison
from fer.runs import Run

OWN = "each run's own"
TESTS = ("test", "PublicTest", "PrivateTest")


@dataclass(frozen=True)
class Chosen:
    """Runs to be judged on one split.

    Attributes:
        runs: one to eight.
        split: `test`, `PublicTest`, `PrivateTest`, `validation` or `train`.
        dataset: fingerprint of another data set to score them all on; None for each run's own.
    """

    runs: tuple[Run, ...]
    split: str
    dataset: str | None = None

    @property
    def names(self) -> list[str]:
        """A short unique name of each run."""
        names = [run.name for run in self.runs]
        return [run.name if names.count(run.name) == 1 else run.id for run in self.runs]

    @property
    def named(self) -> list[tuple[str, Run]]:
        return list(zip(self.names, self.runs, strict=True))

    @property
    def directories(self) -> tuple[Path, ...]:
        return tuple(run.directory for run in self.runs)

    @property
    def reports(self) -> dict[str, dict[str, Any]]:
        """`{name: report}`; every run of `evaluated` has one."""
        return {name: self.report(run) for name, run in self.named}

    def report(self, run: Run) -> dict[str, Any]:
        """Raises `NotEvaluated` while there are no predictions, `UserError` for a broken run."""
        return cached.report(run.directory, self.dataset or cached.judged_on(run), self.split)

    def comparison(self) -> Comparison:
        """The runs on the images all of them can be judged on; `UserError` when there are none."""
        return cached.comparison(self.directories, self.split, self.dataset)


def choose_images(runs: list[Run]) -> tuple[str, str | None]:
    """(split, fingerprint or None): which images the runs are scored on."""
    own = {str(run.config.get("dataset")) for run in runs}
    others = {info.name: info.fingerprint for info in list_datasets() if own != {info.fingerprint}}
    dataset = None
    left, right = st.columns([1, 2]) if others else (st, st)  # alone, the splits need the whole width
    if others:
        name = left.selectbox(
            "Images of",
            [OWN, *others],
            key=state.SCORED_DATA,
            bind="query-params",
            persist_state="session",
            help="Another data set shows what the runs are worth on other faces, and makes runs comparable "
            "that were trained on different data.",
        )
        dataset = others.get(str(name))
    splits = _splits({dataset} if dataset else own)
    splits += [] if dataset else [split for split in ("validation", "train") if split not in splits]
    split = right.segmented_control(
        "Scored on",
        splits,
        default=splits[0],
        required=True,
        key=state.SCORED,
        bind="query-params",
        persist_state="session",
        help="Validation chose the checkpoint and train was learnt, so their scores are optimistic; look "
        "there for labels to repair.",
    )
    return str(split), dataset


def _splits(fingerprints: set[str]) -> list[str]:
    """The test split and its parts, as far as these data sets have them; else what they do have."""
    present: set[str] = set()
    for fingerprint in fingerprints:
        try:
            dataset = cached.dataset(fingerprint)
        except UserError:
            continue  # removed; the run says so itself
        present |= set(dataset.counts())
        parts = {part for part in TESTS[1:] if (dataset.parts == part).any()}
        present |= parts if len(parts) > 1 else set()
    tests = [str(split) for split in TESTS if split in present]
    return tests or [str(split) for split in ("validation", "train") if split in present] or ["test"]


def note_left_out(found: Comparison) -> None:
    """Say how many images some run cannot be judged on."""
    if found.left_out:
        st.caption(
            f"Only the {len(found):,} images that every chosen run can be judged on; {found.left_out:,} "
            "are left out (another split, or a class that a run does not know)."
        )
