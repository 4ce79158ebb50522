"""What a run can be: each kind names the function that does it.

A job is `function(config, directory, progress, should_stop) -> {"stopped": bool, "metrics": dict}`:
`config` is the run's, `directory` its folder, `progress(fraction, text)` may be called often, and when
`should_stop()` turns True the job saves what it has and returns within a few seconds. It raises
`UserError` for what the user can change. Adding a kind is one line here.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer.errors import UnknownName

Progress = Callable[[float, str], None]
Job = Callable[[dict[str, Any], Path, Progress, Callable[[], bool]], dict[str, Any]]

JOBS: dict[str, str] = {
    "train": "fer.training.job:run",
    "estimate": "fer.training.estimate:run",
    "ablation": "fer.ablation_ingredients:run",
    "evaluate": "fer.evaluation.job:run",
    "denoise": "fer.analysis.denoising:run",
    "diffusion": "fer.generation.training:run",
    "embedding": "fer.analysis.embedding:run",
    "features": "fer.evaluation.clusters:run",
    "imported": "fer.models.foreign:run",
    "maximise": "fer.explanation.job:run",
    "near_duplicates": "fer.data.near_duplicates:run",
    "outliers": "fer.analysis.outlier_training:run",
}

WITH_NETWORK: tuple[str, ...] = ("train", "imported")
"""Kinds whose runs end with a network that can be judged, explained and asked."""

OWN_PROGRESS = frozenset({"train", "diffusion"})
"""Kinds that write progress.json themselves; for the others the worker does."""


def known_jobs() -> dict[str, str]:
    """`JOBS`, and what the environment variable FER_TEST_JOBS adds (`kind=module:function,…`) in tests."""
    extra = [entry.partition("=") for entry in os.environ.get("FER_TEST_JOBS", "").split(",") if "=" in entry]
    return JOBS | {kind.strip(): target.strip() for kind, _, target in extra}


def check_kind(kind: str) -> None:
    """Raise `UnknownName` unless a job of this kind exists."""
    if kind not in known_jobs():
        raise UnknownName("kind of run", kind, sorted(known_jobs()))


def load_job(kind: str) -> Job:
    """Import the function of a kind; this is where TensorFlow may come in."""
    check_kind(kind)
    module, _, function = known_jobs()[kind].partition(":")
    return getattr(importlib.import_module(module), function)
