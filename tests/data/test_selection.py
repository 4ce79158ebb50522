"""Selections: marks add up across tabs and kills, versions can be compared, CSV is safe both ways."""

import csv
import io
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer.data.dataset import delete_dataset, open_dataset, save_dataset
from fer.data.selection import (
    Decision,
    _file,
    apply,
    create_selection,
    delete_selection,
    diff,
    drop_leaked,
    history,
    list_selections,
    mark,
    open_selection,
)
from fer.data.selection_csv import COLUMNS, export_csv, guarded, import_csv, unguarded
from fer.data.splits import SplitConfig, split_indices
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError


def make_dataset(n=70, seed=0, **meta):
    images = np.random.default_rng(seed).integers(0, 256, (n, 48, 48), dtype=np.uint8)
    images[60] = images[3]  # a leak
    images[61] = images[4]  # another, with another label
    images[6] = images[5]
    labels = np.arange(n) % 7
    labels[60], labels[61], labels[6] = 3, 0, labels[5]
    splits = np.where(np.arange(n) >= 60, 2, 0)
    return save_dataset("marked", images, labels, splits, [f"train/x/{i}.jpg" for i in range(n)], meta)


@pytest.fixture
def dataset():
    return make_dataset()


def test_marks_fold_into_decisions(dataset):
    mark(dataset, "clean", [1, 2, 3], "drop", reason="blurred")
    mark(dataset, "clean", 2, "keep")
    selection = mark(dataset, "clean", np.array([4]), "relabel", "sad", "clearly")
    assert selection.version == 3
    assert selection.reference == "clean@3"
    assert selection.decisions == {
        1: Decision("drop", reason="blurred"),
        2: Decision("keep"),
        3: Decision("drop", reason="blurred"),
        4: Decision("relabel", "sad", "clearly"),
    }
    assert open_selection(dataset, "clean") == selection
    assert selection.counts() == {"keep": 1, "drop": 2, "relabel": 1}
    assert list(np.flatnonzero(~selection.keep_mask(dataset))) == [1, 3]
    changed = np.flatnonzero(selection.labels(dataset) != dataset.labels)
    assert list(changed) == [4]
    assert selection.labels(dataset)[4] == EMOTIONS.index("sad")


def test_undo_restores_the_decision_before(dataset):
    mark(dataset, "clean", [1, 2], "drop")
    mark(dataset, "clean", [2, 3], "relabel", "fear")
    selection = mark(dataset, "clean", [1, 2, 3, 9], "undo")
    assert selection.decisions == {2: Decision("drop")}
    assert mark(dataset, "clean", [2], "undo").decisions == {}


def test_versions_stay_and_can_be_compared(dataset):
    mark(dataset, "clean", [1, 2], "drop", reason="a")
    mark(dataset, "clean", [2, 3], "relabel", "fear", "b")
    first, second = open_selection(dataset, "clean@1"), open_selection(dataset, "clean")
    assert set(first.decisions) == {1, 2}
    assert open_selection(dataset, "clean@0").decisions == {}
    assert diff(first, second) == [
        {"index": 2, "before": Decision("drop", "", "a"), "after": Decision("relabel", "fear", "b")},
        {"index": 3, "before": None, "after": Decision("relabel", "fear", "b")},
    ]
    assert diff(second, second) == []
    assert [(e["version"], e["action"], e["images"]) for e in history(dataset, "clean")] == [
        (1, "drop", 2),
        (2, "relabel", 2),
    ]
    for wrong in ("clean@3", "clean@x", "clean@-1"):
        with pytest.raises(UserError, match="versions 0 to 2"):
            open_selection(dataset, wrong)


def test_a_set_can_spare_what_was_decided(dataset):
    mark(dataset, "clean", [5], "keep")
    selection = mark(dataset, "clean", [4, 5, 6], "drop", overwrite=False)
    assert list(selection.dropped) == [4, 6]
    assert mark(dataset, "clean", [4, 5], "drop", overwrite=False).version == 2


def test_apply_and_split(dataset):
    mark(dataset, "clean", [0, 65], "drop")
    selection = mark(dataset, "clean", [2], "relabel", "happy")
    indices = np.array([0, 1, 2])
    kept, labels = apply(selection, dataset, indices, dataset.labels[indices])
    assert list(kept) == [1, 2]
    assert list(labels) == [1, 3]
    parts = split_indices(dataset, SplitConfig(), selection)
    assert 0 not in np.concatenate([parts["train"], parts["validation"]])
    assert 65 in parts["test"]


def test_one_call_drops_leaks_and_conflicts(dataset):
    selection = drop_leaked(dataset, "no leaks", conflicting=False)
    assert list(selection.dropped) == [3, 4]
    assert selection.decisions[3].reason == "identical to a test image"
    assert list(drop_leaked(dataset, "no conflicts", leaked=False).dropped) == [4]
    both = drop_leaked(dataset, "both")
    assert list(both.dropped) == [3, 4]
    assert len(history(dataset, "both")) == 2


def test_selections_outlive_the_data_set_and_come_back_with_it(dataset):
    mark(dataset, "clean", [1], "drop")
    delete_dataset("marked")
    again = make_dataset()
    assert list_selections(again) == ["clean"]
    delete_selection(again, "clean")
    assert list_selections(again) == []


def test_mistakes_are_named_and_write_nothing(dataset):
    create_selection(dataset, "clean")
    for arguments, message in [
        (([1], "remove"), "keep, drop, relabel, undo"),
        (([1], "relabel", "bored"), "bored"),
        (([1], "relabel"), "Choose from: angry"),
        (([70], "drop"), "images 0 to 69"),
        (([-1], "drop"), "Image -1"),
    ]:
        with pytest.raises(UserError, match=message):
            mark(dataset, "clean", *arguments)
    assert open_selection(dataset, "clean").version == 0
    for name in ("../x", "a/b", "", "x@1", "con"):
        with pytest.raises(UserError):
            mark(dataset, name, [1], "drop")
        with pytest.raises(UnknownName):
            open_selection(dataset, name.partition("@")[0])
    other = save_dataset("other", np.zeros((1, 48, 48), np.uint8), [0], [0], ["a"])
    with pytest.raises(UserError, match="belongs to data set"):
        open_selection(dataset, "clean").keep_mask(other)


def test_reasons_are_one_short_line(dataset):
    selection = mark(dataset, "clean", [1], "drop", reason="a\nb\0c\t" + "x" * 500)
    assert selection.decisions[1].reason == ("a b c " + "x" * 500)[:200]


# Two tabs, a kill, a full disk --------------------------------------------------------------------------


def _tab(fingerprint, start, count):
    dataset = open_dataset(fingerprint)
    for n in range(start, start + count):
        mark(dataset, "shared", [n], "drop", reason=f"tab {start}")


def test_tabs_do_not_lose_each_others_marks(dataset):
    context = multiprocessing.get_context("fork")
    tabs = [context.Process(target=_tab, args=(dataset.fingerprint, start, 15)) for start in (0, 15, 30)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(60)
    selection = open_selection(dataset, "shared")
    assert selection.version == 45
    assert list(selection.dropped) == list(range(45))


def test_a_kill_keeps_every_finished_mark(dataset):
    for n in range(8):
        child = os.fork()
        if child == 0:
            try:
                for index in range(60):
                    mark(dataset, f"killed {n}", [index], "drop", reason="r" * 150)
            finally:
                os._exit(0)
        time.sleep(0.005 + 0.004 * n)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        selection = mark(dataset, f"killed {n}", [69], "keep")
        before = len(selection.dropped)
        assert list(selection.dropped) == list(range(before))
        assert selection.version == before + 1


def test_a_torn_line_is_ignored_and_cut_off(dataset):
    mark(dataset, "torn", [1], "drop")
    file = _file(dataset, "torn")
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"time": 1, "action": "dr')
    assert list(open_selection(dataset, "torn").dropped) == [1]
    assert list(mark(dataset, "torn", [2], "drop").dropped) == [1, 2]
    file.write_bytes(b"nonsense\n")
    with pytest.raises(UserError, match="damaged"):
        open_selection(dataset, "torn")
    file.write_bytes(b'{"format": 99}\n')
    with pytest.raises(UserError, match="format 99"):
        open_selection(dataset, "torn")


# CSV ------------------------------------------------------------------------------------------------------


def test_csv_round_trip(dataset):
    mark(dataset, "clean", [1, 2], "drop", reason='=HYPERLINK("http://x")')
    mark(dataset, "clean", [3], "relabel", "sad", 'with "quotes", commas')
    selection = mark(dataset, "clean", [4], "keep")
    text = export_csv(dataset, selection)
    copied = import_csv(dataset, "copy", text.encode())
    assert copied.decisions == selection.decisions
    assert diff(selection, copied) == []
    rows = list(csv.reader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@given(st.text(max_size=20))
def test_guard_is_undone_and_starts_no_formula(cell):
    assert unguarded(guarded(cell)) == cell
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column image and action"),
        ("image,label\na,b\n", "lacks the column action"),
        ("image,action\nnone.jpg,drop\n", "Line 2 of the CSV: 'marked' has no image 'none.jpg'"),
        ("image,action\ntrain/x/1.jpg,burn\n", "Line 2 of the CSV: action 'burn'"),
        (
            "image,action,label\ntrain/x/1.jpg,drop,\ntrain/x/2.jpg,relabel,bored\n",
            "Line 3 of the CSV: class",
        ),
        (b"image,action\n\xff\xfe", "UTF-8"),
        ("x" * 20_000_001, "the limit"),
    ],
)
def test_csv_mistakes_name_the_line_and_import_nothing(dataset, text, message):
    with pytest.raises(UserError, match=message):
        import_csv(dataset, "bad", text)
    assert list_selections(dataset) == []


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300) | st.text(max_size=200).map(lambda text: ("image,action,label\n" + text).encode())
)
def test_any_csv_is_imported_or_one_sentence(dataset, content):
    try:
        import_csv(dataset, "fuzzed", content)
        sentence = ""
    except UserError as error:
        sentence = str(error)
    assert "\n" not in sentence


def test_real_leaks_can_be_dropped(real_dataset):
    selection = drop_leaked(real_dataset, "no leaks")
    parts = split_indices(real_dataset, SplitConfig(), selection)
    used = np.concatenate([parts["train"], parts["validation"]])
    assert not np.isin(real_dataset.hashes[parts["test"]], real_dataset.hashes[used]).any()
    assert 28_709 - len(used) == len(selection.dropped) > 270
