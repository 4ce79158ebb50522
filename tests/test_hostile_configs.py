"""Fuzzed settings, stored configs, presets, selections and run folders: one sentence, never a traceback.

The examples written out are what was found: a fraction of 5,000 characters in its own message, an event of
a selection without its action, a whole number too large for a float.
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fer.augmentation import list_presets
from fer.augmentation.config import AugmentationConfig
from fer.augmentation.presets import save_preset
from fer.data.dataset import save_dataset
from fer.data.selection import create_selection, history, list_selections, mark, open_selection
from fer.data.selection_csv import export_csv, import_csv
from fer.errors import UserError
from fer.recipes import RECIPES, recipe_config
from fer.reproduce import command_line
from fer.runs import create_run, list_runs, open_run, statuses
from fer.training.config import TrainConfig, with_settings

QUIET = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HEAVIER = settings(QUIET, max_examples=40)
STORED = recipe_config("unet_separable", "0123456789abcdef").to_json()
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -1, 0, 2**63, 1e308, math.inf, math.nan]),
)
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["../../etc/passwd", "nan", "1e999", "none", "true", "[" * 5000, '{"a":' * 500, "\0", "9" * 5000]
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def paths(content: Any, before: tuple = ()) -> list[tuple]:
    """Every place in a JSON document."""
    here = [before] if before else []
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return here + [path for key, value in items for path in paths(value, (*before, key))]


PLACES = paths(STORED)
KEYS = st.one_of(
    st.sampled_from([".".join(map(str, place)) for place in PLACES]),
    st.sampled_from(["epochs", "learning_rate", "optimizer", "augmentation", "classes", "teachers"]),
    st.sampled_from(
        ["phases.0", "phases.-1.epochs", "phases.999.epochs", "split.", ".", "..", "a.b.c", "split.seed.x"]
    ),
    st.text(max_size=12),
)


def one_sentence(error: UserError) -> None:
    said = str(error)
    assert said
    assert "\n" not in said
    assert len(said) < 1500, said


@QUIET
@given(key=KEYS, value=VALUES | st.text(max_size=30), recipe=st.sampled_from(sorted(RECIPES)))
def test_a_setting_gives_a_config_that_can_be_stored_or_one_sentence(key, value, recipe):
    """The door of `--set`, of the form on the Train page and of Run again."""
    base = recipe_config(recipe, "0123456789abcdef")
    try:
        config = with_settings(base, {key: value})
    except UserError as error:
        one_sentence(error)
        return
    stored = json.loads(json.dumps(config.to_json(), allow_nan=False))
    assert TrainConfig.from_json(stored) == config
    assert "\n" not in command_line(config)


@QUIET
@given(place=st.sampled_from(PLACES), value=VALUES, more=st.booleans())
@example(place=("split", "validation_fraction"), value="[" * 5000, more=False)
@example(place=("mixup",), value=10**400, more=False)
def test_a_stored_config_that_was_edited_is_read_or_refused(place, value, more):
    content = json.loads(json.dumps(STORED))
    target = content
    for step in place[:-1]:
        target = target[step]
    if more and isinstance(target, dict):
        target[str(place[-1]) + "x"] = value
    else:
        target[place[-1]] = value
    try:
        TrainConfig.from_json(content)
    except UserError as error:
        one_sentence(error)


@QUIET
@given(content=VALUES)
def test_any_json_is_no_config_or_one(content):
    for kind in (TrainConfig, AugmentationConfig):
        try:
            kind.from_json(content)
        except UserError as error:
            one_sentence(error)


@QUIET
@given(text=st.one_of(st.binary(max_size=60), VALUES.map(lambda value: json.dumps(value).encode())))
def test_a_preset_file_of_anything_hides_nothing_else(cache, text):
    folder = cache / "presets"
    folder.mkdir(exist_ok=True)
    (folder / "damaged.json").write_bytes(text)
    save_preset("good", AugmentationConfig(rotation=5))
    assert list_presets()["good"].rotation == 5


@pytest.fixture
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    return save_dataset("faces", images, np.arange(3), np.zeros(3), list("abc"))


@HEAVIER
@given(name=st.text(max_size=70) | WORDS)
def test_a_name_makes_files_only_where_they_belong(cache, dataset, name):
    outside = {path for path in cache.parent.rglob("*") if not inside(path, cache)}
    for give in (
        lambda: save_preset(name, AugmentationConfig()),
        lambda: create_selection(dataset, name),
        lambda: mark(dataset, name, [0], "drop", reason=name),
        lambda: create_run({"epochs": 1}, kind="estimate", name=name),
    ):
        try:
            give()
        except UserError as error:
            one_sentence(error)
    assert {path for path in cache.parent.rglob("*") if not inside(path, cache)} == outside
    assert {path.name for path in cache.iterdir()} <= {
        *("datasets", "presets", "selections", "runs", "locks", "derived"),
        *("queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"),
    }


def inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


EVENT = st.fixed_dictionaries(
    {},
    optional={
        "time": VALUES,
        "action": st.sampled_from(["drop", "relabel", "undo"]) | VALUES,
        "label": VALUES,
    }
    | {"images": st.lists(st.integers(-2, 5), max_size=3) | VALUES, "reason": VALUES, "format": VALUES},
)


@HEAVIER
@given(
    lines=st.lists(st.one_of(EVENT.map(json.dumps), VALUES.map(json.dumps), st.text(max_size=30)), max_size=3)
)
@example(lines=["{}"])
@example(lines=['{"action": "drop", "images": [-1], "time": 1}'])
@example(lines=["[]", "null"])
def test_a_selection_file_of_anything_is_read_or_refused(dataset, lines):
    shutil.rmtree(storage_of(dataset) / "mine", ignore_errors=True)
    mark(dataset, "mine", [0], "drop")
    (file,) = (storage_of(dataset) / "mine").glob("events.jsonl")
    first = file.read_text(encoding="utf-8").splitlines()[0]
    file.write_text("\n".join([first, *lines]) + "\n", encoding="utf-8")
    for read in (
        lambda: export_csv(dataset, open_selection(dataset, "mine")),
        lambda: open_selection(dataset, "mine").labels(dataset),
        lambda: open_selection(dataset, "mine").keep_mask(dataset),
        lambda: history(dataset, "mine"),
        lambda: mark(dataset, "mine", [1], "keep"),
    ):
        try:
            read()
        except UserError as error:
            one_sentence(error)
    assert list_selections(dataset) == ["mine"]


def storage_of(dataset) -> Path:
    from fer import storage

    return storage.cache_directory() / "selections" / dataset.fingerprint


@HEAVIER
@given(content=st.binary(max_size=80) | st.text(max_size=80) | st.lists(WORDS, max_size=6).map(",".join))
@example(content="image,action\na,drop\n")
@example(content='image,action\n"a')
def test_a_csv_of_decisions_is_read_or_refused(dataset, content):
    try:
        import_csv(dataset, "mine", content)
    except UserError as error:
        one_sentence(error)


FILE = st.sampled_from(
    ["config.json", "status.json", "labels.json", "progress.json", "model.json", "history.csv"]
)


@HEAVIER
@given(name=FILE, content=st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_run_folder_of_anything_does_not_hide_the_others(cache, name, content):
    from dashboard.run_table import table

    good = open_run("good") if list_runs() else create_run({"epochs": 1}, kind="estimate", name="good")
    bad = cache / "runs" / "broken"
    bad.mkdir(exist_ok=True)
    for file in bad.iterdir():
        file.unlink()
    (bad / "config.json").write_text(json.dumps({"format": 1, "kind": "train", "config": STORED}))
    (bad / name).write_bytes(content)
    runs = list_runs()
    known = statuses(runs)
    assert good.id in known
    assert len(table(runs, known)) == len(runs) >= 1
    for run in runs:
        try:
            run.metrics(), run.train_config()
        except UserError as error:
            one_sentence(error)
