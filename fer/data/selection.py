"""Selections: named, versioned decisions to keep, drop or relabel images, with reasons.

A selection never touches images. It is a list of events in `cache/selections/<fingerprint>/<name>/
events.jsonl`, only ever appended to under a lock; version n is the state after event n. So two browser
tabs cannot lose each other's marks, every earlier version can be opened and compared, and a run that
records `name@version` says exactly what it trained on. A line torn by a kill is ignored and cut off by the
next writer.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fer import storage
from fer.data.dataset import Dataset, check_name
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError

ACTIONS: tuple[str, ...] = ("keep", "drop", "relabel", "undo")
MAX_REASON = 200
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Decision:
    """What was decided about one image.

    Attributes:
        action: `keep` (looked at, stays), `drop` or `relabel`.
        label: the new class for `relabel`, else ''.
        reason: why, at most 200 characters.
    """

    action: str
    label: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Selection:
    """The decisions of one version.

    Attributes:
        fingerprint: of the data set whose image indices `decisions` uses.
        name: of the selection.
        version: how many events made it; 0 decides nothing.
        decisions: `{index: Decision}`, one for each image that has one.
    """

    fingerprint: str
    name: str
    version: int = 0
    decisions: dict[int, Decision] = field(repr=False, default_factory=dict)

    @property
    def reference(self) -> str:
        """`name@version`, which opens exactly this."""
        return f"{self.name}@{self.version}"

    @property
    def dropped(self) -> np.ndarray:
        """Ascending int64 indices of dropped images."""
        return np.array(sorted(i for i, d in self.decisions.items() if d.action == "drop"), dtype=np.int64)

    def keep_mask(self, dataset: Dataset) -> np.ndarray:
        """(N,) bool: False for dropped images."""
        self._check(dataset)
        mask = np.ones(len(dataset), dtype=bool)
        mask[self.dropped] = False
        return mask

    def labels(self, dataset: Dataset) -> np.ndarray:
        """(N,) uint8 labels with the relabelled ones replaced."""
        self._check(dataset)
        labels = np.array(dataset.labels)
        for index, decision in self.decisions.items():
            if decision.action == "relabel":
                labels[index] = EMOTIONS.index(decision.label)
        return labels

    def counts(self) -> dict[str, int]:
        """How many images each action concerns."""
        actions = [decision.action for decision in self.decisions.values()]
        return {action: actions.count(action) for action in ("keep", "drop", "relabel")}

    def _check(self, dataset: Dataset) -> None:
        if dataset.fingerprint != self.fingerprint:
            raise UserError(
                f"Selection {self.name!r} belongs to data set {self.fingerprint}, not to {dataset.name!r} "
                f"({dataset.fingerprint}). Choose one made for this data set."
            )


def apply(
    selection: Selection, dataset: Dataset, indices: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`indices` without dropped images, and their (aligned) `labels` with the relabelled ones replaced."""
    kept = selection.keep_mask(dataset)[indices]
    relabelled = selection.labels(dataset)[indices]
    changed = relabelled != dataset.labels[indices]
    return indices[kept], np.where(changed, relabelled, labels)[kept]


def open_selection(dataset: Dataset, reference: str) -> Selection:
    """The selection `name` in its latest version, or `name@version`.

    Raises:
        UnknownName: there is none of this name.
        UserError: it has no such version, or its file has another format.
    """
    name, at, number = reference.partition("@")
    if name not in list_selections(dataset):
        raise UnknownName("selection", name, list_selections(dataset))
    events = _read(_file(dataset, name))
    if at and not (number.isascii() and number.isdigit() and int(number) <= len(events)):
        raise UserError(f"Selection {name!r} has versions 0 to {len(events)}, not {number[:20]!r}.")
    return _fold(dataset, name, events[: int(number)] if at else events)


def list_selections(dataset: Dataset) -> list[str]:
    """Names of the selections made for this data set, sorted."""
    folder = _folder(dataset)
    return sorted(path.parent.name for path in folder.glob("*/events.jsonl"))


def history(dataset: Dataset, name: str) -> list[dict[str, Any]]:
    """`{version, time, action, images, label, reason}` of every event, the oldest first."""
    open_selection(dataset, name)
    return [
        {
            "version": number,
            "time": event["time"],
            "action": event["action"],
            "images": len(event["images"]),
            "label": event.get("label", ""),
            "reason": event.get("reason", ""),
        }
        for number, event in enumerate(_read(_file(dataset, name)), start=1)
    ]


def mark(
    dataset: Dataset,
    name: str,
    indices: Sequence[int] | np.ndarray,
    action: str,
    label: str = "",
    reason: str = "",
    overwrite: bool = True,
) -> Selection:
    """Decide about images; creates the selection if there is none, and returns its new version.

    Args:
        dataset: whose images.
        name: of the selection.
        indices: one image, a group or a whole flagged set.
        action: `keep`, `drop`, `relabel`, or `undo`, which takes back the latest decision on each image.
        label: the new class, for `relabel`.
        reason: why, shortened to 200 characters.
        overwrite: False leaves images alone that already have a decision (for sets marked at once).

    Raises:
        UserError: an unknown action or class, or an index out of range. Nothing was written then.
    """
    event = _event(dataset, indices, action, label, reason)
    check_name(name)
    with _writing(dataset, name) as file:
        events = _read(file)
        if not overwrite:
            decided = _fold(dataset, name, events).decisions
            event["images"] = [index for index in event["images"] if index not in decided]
        if event["images"]:
            _append(file, [event])
            events.append(event)
        return _fold(dataset, name, events)


def create_selection(dataset: Dataset, name: str) -> Selection:
    """An empty selection; one that exists is returned as it is."""
    check_name(name)
    with _writing(dataset, name) as file:
        return _fold(dataset, name, _read(file))


def delete_selection(dataset: Dataset, name: str) -> None:
    """Remove a selection with all versions; runs keep the indices they trained on."""
    open_selection(dataset, name)
    shutil.rmtree(_folder(dataset) / name)


def drop_leaked(
    dataset: Dataset, name: str, leaked: bool = True, conflicting: bool = True, overwrite: bool = True
) -> Selection:
    """Drop training and validation images identical to a test image, or whose copies carry other labels."""
    from fer.data.audit import TEST, conflicting_images, leaked_training_images

    create_selection(dataset, name)
    if leaked:
        chosen = leaked_training_images(dataset)
        mark(dataset, name, chosen, "drop", reason="identical to a test image", overwrite=overwrite)
    if conflicting:
        chosen = conflicting_images(dataset)
        chosen = chosen[dataset.splits[chosen] != TEST]
        mark(dataset, name, chosen, "drop", reason="a copy has another label", overwrite=overwrite)
    return open_selection(dataset, name)


def diff(before: Selection, after: Selection) -> list[dict[str, Any]]:
    """`{index, before, after}` for each image decided differently; None where there is no decision."""
    if before.fingerprint != after.fingerprint:
        raise UserError("These selections belong to different data sets, so they cannot be compared.")
    changed = []
    for index in sorted(before.decisions.keys() | after.decisions.keys()):
        old, new = before.decisions.get(index), after.decisions.get(index)
        if (old and (old.action, old.label)) != (new and (new.action, new.label)):
            changed.append({"index": index, "before": old, "after": new})
    return changed


def _event(
    dataset: Dataset, indices: Sequence[int] | np.ndarray, action: str, label: str, reason: str
) -> dict[str, Any]:
    if action not in ACTIONS:
        raise UnknownName("action", action, ACTIONS)
    if action == "relabel" and label not in EMOTIONS:
        raise UnknownName("class", label, EMOTIONS)
    chosen = sorted({int(index) for index in np.asarray(indices).ravel()})
    if chosen and not 0 <= chosen[0] <= chosen[-1] < len(dataset):
        raise UserError(
            f"Image {chosen[-1] if chosen[0] >= 0 else chosen[0]} is not in {dataset.name!r}, "
            f"which has images 0 to {len(dataset) - 1}."
        )
    clean = " ".join("".join(c if c.isprintable() else " " for c in str(reason)).split())[:MAX_REASON]
    event: dict[str, Any] = {"time": time.time(), "action": action, "images": chosen, "reason": clean}
    return event | {"label": label} if action == "relabel" else event


def _fold(dataset: Dataset, name: str, events: list[dict[str, Any]]) -> Selection:
    """The decisions after all `events`: each image has a stack of them, and `undo` takes the top off."""
    stacks: dict[int, list[Decision]] = {}
    for number, event in enumerate(events, start=1):
        if not _is_event(event, len(dataset)):
            raise UserError(
                f"Version {number} of selection {name!r} is damaged; remove it or restore its file "
                f"{_file(dataset, name)}."
            )
        decision = Decision(event["action"], event.get("label", ""), event.get("reason", ""))
        for index in event["images"]:
            stack = stacks.setdefault(index, [])
            if decision.action != "undo":
                stack.append(decision)
            elif stack:
                stack.pop()
    decisions = {index: stack[-1] for index, stack in stacks.items() if stack}
    return Selection(dataset.fingerprint, name, len(events), decisions)


def _is_event(event: Any, images: int) -> bool:
    """Whether it is what `_event` makes for a data set of so many images."""
    if not isinstance(event, dict) or event.get("action") not in ACTIONS:
        return False
    chosen, label = event.get("images"), event.get("label", "")
    return (
        isinstance(chosen, list)
        and all(type(index) is int and 0 <= index < images for index in chosen)
        and label in (EMOTIONS if event["action"] == "relabel" else ("", *EMOTIONS))
        and isinstance(event.get("reason", ""), str)
        and isinstance(event.get("time"), int | float)
    )


def _folder(dataset: Dataset) -> Path:
    return storage.cache_directory() / "selections" / dataset.fingerprint


def _file(dataset: Dataset, name: str) -> Path:
    return _folder(dataset) / name / "events.jsonl"


@contextmanager
def _writing(dataset: Dataset, name: str) -> Iterator[Path]:
    """Hold the selection's lock; yields its file, which exists and ends with a complete line."""
    file = _file(dataset, name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.parent / ".lock", timeout=30):
            if not file.exists():
                storage.write_text(file, json.dumps({"format": FORMAT_VERSION, "name": name}) + "\n")
            content = file.read_bytes()
            if not content.endswith(b"\n"):
                os.truncate(file, content.rfind(b"\n") + 1)
            yield file
    except Timeout:
        raise UserError(f"Another process keeps selection {name!r} locked. Try again in a moment.") from None
    except OSError as error:
        raise storage.disk_error(error, file) from error


def _append(file: Path, events: list[dict[str, Any]]) -> None:
    """Append all events in one write."""
    storage.append_line(file, "\n".join(json.dumps(event) for event in events))


def _read(file: Path) -> list[dict[str, Any]]:
    """The events in `file`; a torn last line is not one."""
    lines = file.read_bytes().split(b"\n")[:-1]
    try:
        header, *events = [json.loads(line) for line in lines]
    except ValueError as error:
        raise UserError(
            f"The selection file {file} is damaged ({error}); remove it or restore it."
        ) from error
    version = header.get("format") if isinstance(header, dict) else header
    if version != FORMAT_VERSION:
        raise UserError(
            f"The selection file {file} has format {str(version)[:80]}; this version reads "
            f"{FORMAT_VERSION}. Export it there as CSV and import that here."
        )
    return events
