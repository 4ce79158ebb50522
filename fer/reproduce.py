"""The exact command that trains a run again: its recipe and what was changed, as `--set` options."""

import json
import shlex
from typing import Any

from fer.recipes import RECIPES, recipe_config
from fer.training.config import TrainConfig


def changes(config: TrainConfig) -> dict[str, str]:
    """What differs from the recipe as it stands, in the form `with_settings` takes.

    A config whose recipe this version does not know is described from the baseline's.
    """
    base = recipe_config(_base(config), config.dataset)
    found: dict[str, Any] = {}
    _compare(base.to_json(), config.to_json(), "", found)
    found.pop("recipe", None)
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}


def command_line(config: TrainConfig) -> str:
    """`python -m fer train …` that repeats the training, quoted for a POSIX shell."""
    words = ["python", "-m", "fer", "train", _base(config), "--dataset", config.dataset]
    for key, value in changes(config).items():
        words += ["--set", f"{key}={value}"]
    return shlex.join(words)


def _base(config: TrainConfig) -> str:
    return config.recipe if config.recipe in RECIPES else "baseline_cnn"


def _compare(old: Any, new: Any, path: str, found: dict[str, Any]) -> None:
    """Collect the leaves of `new` that differ from `old`; whole lists and open objects when shapes differ."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for key in new:
            _compare(old[key], new[key], f"{path}.{key}" if path else key, found)
    elif path == "phases" and len(old) == len(new):
        for n, (before, after) in enumerate(zip(old, new, strict=True)):
            _compare(before, after, f"phases.{n}", found)
    else:
        found[path] = new
