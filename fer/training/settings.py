"""Change single settings of a training config by name, from text or typed values.

Works on the config's JSON, so that what is checked is what would be stored.
"""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from fer.augmentation import AugmentationConfig, preset
from fer.checks import check_integer
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.training.phase import Phase

_PHASE_KEYS = tuple(Phase().to_json())
_OPEN = ("model_options", "class_weights", "oversample", "class_strength")  # objects that take new keys


def changed(content: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a config's JSON with `settings` applied in order.

    Keys are those of the JSON, with dots inside (`split.seed`, `augmentation.rotation`,
    `model_options.dropout`, `class_weights.disgust`, `phases.0.learning_rate`). Also:

    - a phase's own key without number (`optimizer`, `learning_rate`) changes every phase; `epochs` is
      the total, which several phases share in proportion; a rate for several phases that differ is
      refused, because it would undo their order;
    - `augmentation` takes a preset's name or all of its values;
    - `teachers` takes names of runs with commas between them;
    - `classes` takes names, or `-disgust` to leave one out.

    Raises:
        UserError: an unknown key, with those there are, or a value that cannot be read.
    """
    content = deepcopy(content)
    for key, value in settings.items():
        if key == "augmentation":
            content[key] = _augmentation(value)
        elif key == "classes":
            content[key] = _classes(content[key], value)
        elif key == "teachers":
            content[key] = value  # text with commas or a list; the config reads both
        elif key == "epochs":
            _share_epochs(content["phases"], _typed(value, 0))
        elif key in _PHASE_KEYS:
            _every_phase(content["phases"], key, value)
        else:
            set_value(content, str(key), value)
    return content


def set_value(content: dict[str, Any], key: str, value: Any) -> None:
    """Change one value of a config's JSON in place: a key with dots inside, typed or as text."""
    target: Any = content
    *path, last = key.split(".")
    for step in path:
        if step == "class_weights" and not isinstance(target.get(step), dict):
            target[step] = {}
        target = _enter(target, step, key)
    if isinstance(target, list):
        raise UserError(f"The setting {key!r} needs a name after the number, such as phases.0.epochs.")
    if last not in target and not (path and path[-1] in _OPEN):
        raise UnknownName("setting", key, [".".join([*path, name]) for name in target])
    if last == "class_weights" and str(value) in ("none", "balanced"):
        target[last] = str(value)
    else:
        target[last] = _typed(value, target.get(last) if last != "class_weights" else None)


def _enter(target: Any, step: str, key: str) -> Any:
    if isinstance(target, list):
        if not re.fullmatch(r"\d{1,3}", step) or int(step) >= len(target):
            raise UnknownName("phase", step, [str(n) for n in range(len(target))])
        return target[int(step)]
    if step not in target or not isinstance(target[step], dict | list):
        known = [name for name, value in target.items() if isinstance(value, dict | list)]
        raise UnknownName(f"group of settings in {key!r}", step, known)
    return target[step]


def _typed(value: Any, current: Any) -> Any:
    """`value` as it is, or text read as JSON unless the setting holds text."""
    if not isinstance(value, str) or isinstance(current, str):
        return value
    text = value.strip()
    plain = {"none": None, "null": None, "yes": True, "on": True, "no": False, "off": False}
    if isinstance(current, bool) or text.lower() in ("true", "false", "none"):
        plain |= (
            {"true": True, "false": False, "1": True, "0": False}
            if isinstance(current, bool)
            else {"true": True, "false": False}
        )
    if text.lower() in plain:
        return plain[text.lower()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _augmentation(value: Any) -> dict[str, Any]:
    if isinstance(value, AugmentationConfig):
        return value.to_json()
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return preset(value).to_json()
    read = _typed(value, None)
    return AugmentationConfig.from_json({} if read is None or read is False else read).to_json()


def _classes(current: list[str], value: Any) -> list[str]:
    names = value if isinstance(value, list | tuple) else str(value).strip("[]").replace('"', "").split(",")
    names = [str(name).strip() for name in names]
    for name in names:
        if name.removeprefix("-") not in EMOTIONS:
            raise UnknownName("class", name, EMOTIONS)
    dropped = [name[1:] for name in names if name.startswith("-")]
    kept = [name for name in names if not name.startswith("-")] or current
    return [name for name in kept if name not in dropped]


def _every_phase(phases: list[dict[str, Any]], key: str, value: Any) -> None:
    if key == "learning_rate" and len({phase[key] for phase in phases}) > 1:
        numbered = ", ".join(f"phases.{n}.{key} ({phase[key]:g})" for n, phase in enumerate(phases))
        raise UserError(f"The {len(phases)} phases have different learning rates; set one of {numbered}.")
    for phase in phases:
        phase[key] = _typed(value, phase[key])


def _share_epochs(phases: list[dict[str, Any]], total: Any) -> None:
    """Give the phases `total` epochs in proportion to what they have, at least one each.

    With fewer epochs than phases, the last phases are left out: a run of one epoch is a run of one.
    """
    total = check_integer("number of epochs", total, 1, 1000 * len(phases))
    del phases[total:]
    before = sum(phase["epochs"] for phase in phases)
    ends = [sum(phase["epochs"] for phase in phases[: n + 1]) * total / before for n in range(len(phases))]
    done = 0
    for n, phase in enumerate(phases):
        after = len(phases) - n - 1
        phase["epochs"] = min(max(round(ends[n]) - done, 1), total - done - after)
        done += phase["epochs"]
    phases[-1]["epochs"] += total - done
    for phase in phases:
        phase["warmup_epochs"] = min(phase["warmup_epochs"], phase["epochs"])
