"""The queue by itself: who may start what, and that a stale claim is worth nothing."""

import sqlite3
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer import storage
from fer.errors import UserError
from fer.runs import queue, schedule, slots
from fer.runs.queue import Row
from fer.runs.slots import CPU_SLOT, SMALL_SLOT, Slot

PATIENT = settings(  # a busy machine is no defect, and each test's cache does no harm to the next example
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
GPUS = [Slot(f"gpu:{n}", f"gpu:{n}", f"GPU {n}", str(n)) for n in range(2)]


def row(run: str, device: str = "auto", **changes: object) -> Row:
    values = {"position": 1.0, "kind": "train", "state": "queued", "slot": None, "token": "", "paused": 0}
    values |= {"failures": 0, "queued": 0.0, "foreground": None} | changes
    return Row(run=run, device=device, **values)


def places(kind: str, device: str) -> list[Slot]:
    if device == "gpu:9":
        raise UserError("no such GPU")
    if kind != "train":
        return [*GPUS, SMALL_SLOT] if device == "auto" else [SMALL_SLOT]
    return {"auto": GPUS, "cpu": [CPU_SLOT], "gpu:0": GPUS[:1], "gpu:1": GPUS[1:]}[device]


def assigned(rows: list[Row], busy: tuple[str, ...] = (), **options: Any) -> list[tuple[str, str]]:
    pairs = schedule.assign(rows, lambda place: place.name not in busy, places, **options)
    return [(found.run, place.name) for found, place in pairs]


def test_runs_start_in_order_on_the_devices_that_are_free():
    rows = [row("a"), row("b"), row("c"), row("d", "cpu")]
    assert assigned(rows) == [("a", "gpu:0"), ("b", "gpu:1"), ("d", "cpu")]
    assert assigned(rows, busy=("gpu:0",)) == [("a", "gpu:1"), ("d", "cpu")]
    running = row("r", state="running", slot="gpu:0")
    assert assigned([running, *rows]) == [("a", "gpu:1"), ("d", "cpu")]


def test_a_run_passes_another_only_on_a_device_that_one_did_not_ask_for():
    assert assigned([row("a", "gpu:0"), row("b", "gpu:1"), row("c")], busy=("gpu:0",)) == [("b", "gpu:1")]


def test_paused_and_impossible_runs_are_passed_over():
    rows = [row("a", paused=1), row("b", "gpu:9"), row("c")]
    assert assigned(rows) == [("c", "gpu:0")]
    waiting_in_a_terminal = row("f", foreground="{}")
    assert assigned([*rows, waiting_in_a_terminal], paused=True) == [("f", "gpu:0")]


def test_small_jobs_take_a_free_gpu_or_their_own_place():
    assert assigned([row("s", kind="evaluate")], busy=("gpu:0", "gpu:1")) == [("s", "small")]
    assert assigned([row("s", kind="evaluate")]) == [("s", "gpu:0")]


def test_a_run_waits_for_those_it_builds_on_and_lets_others_pass():
    """Two GPUs: SMOTE's run needs the plain one's features, and the second seed may start meanwhile."""
    rows = [row("plain"), row("smote"), row("next")]
    needs = {"smote": {"plain", "gone"}}.get
    options = {"forerunners": lambda run: needs(run, set())}
    assert assigned(rows, **options) == [("plain", "gpu:0"), ("next", "gpu:1")]
    running = row("plain", state="running", slot="gpu:0")
    assert assigned([running, *rows[1:]], **options) == [("next", "gpu:1")]
    assert assigned(rows[1:], **options) == [("smote", "gpu:0"), ("next", "gpu:1")]
    moved_up = [rows[1], rows[0]]
    assert assigned(moved_up, **options) == [("plain", "gpu:0")]


@PATIENT
@given(st.lists(st.sampled_from(["auto", "cpu", "gpu:0", "gpu:1"]), max_size=12), st.sets(st.integers(0, 2)))
def test_no_slot_is_given_twice_and_no_run_could_have_started_earlier(devices, busy):
    names = ("gpu:0", "gpu:1", "cpu")
    taken = tuple(names[n] for n in busy)
    rows = [row(f"r{n}", device) for n, device in enumerate(devices)]
    pairs = assigned(rows, busy=taken)
    used = [place for _, place in pairs]
    assert len(set(used)) == len(used)
    assert not set(used) & set(taken)
    started = dict(pairs)
    for n, device in enumerate(devices):
        if f"r{n}" not in started:  # all its places went to others that were not behind it, or were busy
            for place in places("train", device):
                holders = [run for run, held in pairs if held == place.name]
                assert place.name in taken or int(holders[0][1:]) < n


def test_a_claim_is_accepted_once_and_only_with_its_token():
    with queue.transaction() as connection:
        queue.add(connection, "a", "train", "auto")
        old = queue.claim(connection, "a", "cpu")
        assert queue.release(connection, "a", old)
        new = queue.claim(connection, "a", "cpu")
        assert not queue.accept(connection, "a", old), "a worker that comes too late does nothing"
        assert queue.accept(connection, "a", new)
        assert not queue.accept(connection, "a", new)
        assert not queue.release(connection, "a", new), "a running run cannot be taken back"
        assert not queue.delete(connection, "a", old)
        assert queue.delete(connection, "a", new)


def test_the_database_itself_refuses_a_second_holder_of_a_slot():
    with queue.transaction() as connection:
        queue.add(connection, "a", "train", "auto")
        queue.add(connection, "b", "train", "auto")
        queue.claim(connection, "a", "cpu")
        with pytest.raises(sqlite3.IntegrityError):
            queue.claim(connection, "b", "cpu")


def test_a_transaction_that_fails_changes_nothing():
    with pytest.raises(sqlite3.IntegrityError), queue.transaction() as connection:
        [queue.add(connection, name, "train", "auto") for name in ("a", "b", "a")]
    assert queue.rows() == []


def test_the_queue_is_written_ahead_and_synchronous():
    with queue.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_many_processes_may_create_and_fill_it_at_once():
    code = (
        "import sys; from fer.runs import queue\n"
        "with queue.transaction() as connection: queue.add(connection, sys.argv[1], 'train', 'auto')"
    )
    adders = [subprocess.Popen([sys.executable, "-c", code, f"r{n}"], cwd=storage.PROJECT) for n in range(6)]
    assert [adder.wait(60) for adder in adders] == [0] * 6
    assert sorted(found.run for found in queue.rows()) == [f"r{n}" for n in range(6)]
    assert sorted(found.position for found in queue.rows()) == [1, 2, 3, 4, 5, 6]


def test_a_queue_damaged_inside_is_put_aside_and_works_again():
    with queue.transaction() as connection:
        queue.add(connection, "a", "train", "auto")
    content = bytearray(queue.path().read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)  # the first page, with the version, stays good
    queue.path().write_bytes(content)
    with pytest.raises(UserError, match="damaged and has been put aside"):
        queue.rows()
    assert queue.rows() == []
    with queue.transaction() as connection:
        queue.add(connection, "b", "train", "auto")
    assert [found.run for found in queue.rows()] == ["b"]
    assert len(list(queue.path().parent.glob("queue.damaged-*"))) == 1


def test_reading_makes_no_queue():
    assert queue.rows() == []
    assert not queue.all_paused()
    assert not queue.path().exists()


@PATIENT
@given(st.text(max_size=12))
def test_an_unknown_device_is_refused_in_a_sentence(device):
    if device.lower() in ("", "auto", "cpu"):
        return
    with pytest.raises(UserError, match="Choose"):
        slots.candidates("train", device)


def test_gpus_can_be_kept_from_us(monkeypatch):
    monkeypatch.setattr(slots, "_nvidia_smi", lambda: GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [place.name for place in slots.gpus()] == ["gpu:1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert slots.gpus() == []
    assert slots.candidates("train", "auto") == [CPU_SLOT]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert slots.candidates("train", "auto") == GPUS
    assert slots.candidates("evaluate", "auto") == [*GPUS, SMALL_SLOT]
    with pytest.raises(UserError, match="GPU 0"):
        slots.candidates("train", "gpu:7")
    environment = slots.environment(GPUS[1])
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert [place.name for place in slots.gpus()] == ["gpu:0", "gpu:1"], "inside a run too"
