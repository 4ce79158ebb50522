"""What a run says about itself when its files, its process or the machine say something else."""

import json
import math
import os
import subprocess
import sys
import time

import psutil
import pytest

from fer import runs, storage
from fer.errors import UserError
from fer.runs import files, locks, processes, queue, status
from fer.runs.processes import Identity
from tests.runs.runkit import engine_processes, running, start, until


def recorded_running(trainer: Identity, **changes: object) -> runs.Run:
    """A run whose record says that this process trains it; nothing holds its lock."""
    run = runs.create_run({"epochs": 5})
    record = {"state": "running", "token": "t", "started": time.time() - 60, "process": trainer.to_json()}
    files.write_record(run.directory, record | changes)
    return run


def test_a_living_process_with_the_runs_lock_is_believed():
    run = recorded_running(processes.identity())
    lock = locks.hold(status.run_lock(run.id))
    assert run.status().state == "running"
    assert run.status().pid == os.getpid()
    lock.release()


def test_a_living_process_without_the_lock_is_not_the_trainer():
    assert recorded_running(processes.identity()).status().state == "killed"


@pytest.mark.parametrize("pid", [1, 2**22 + 1])
def test_a_forged_or_reused_pid_is_not_believed(pid):
    own = processes.identity()
    run = recorded_running(Identity(pid, own.started, own.ticks, own.boot))
    lock = locks.hold(status.run_lock(run.id))  # even if something holds the lock
    assert run.status().state == "killed"
    assert run.status().pid is None
    lock.release()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no zombies")
def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        trainer = processes.identity(child.pid)
        assert trainer.alive()
        child.kill()
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert psutil.pid_exists(child.pid), "a zombie still answers"
        assert not trainer.alive()
        run = recorded_running(trainer)
        lock = locks.hold(status.run_lock(run.id))
        assert run.status().state == "killed"
        lock.release()
    finally:
        child.kill()
        child.wait()


def test_after_a_restart_of_the_machine_runs_read_interrupted_and_resume():
    own = processes.identity()
    run = recorded_running(Identity(own.pid, own.started, own.ticks, "another-boot"))
    found = run.status()
    assert found.state == "interrupted"
    assert "restarted" in found.reason
    assert "Resume" in found.remedy
    runs.resume(run)
    assert runs.wait(run, 20).state == "finished"


def test_a_row_left_in_the_queue_by_a_restart_blocks_nothing():
    own = processes.identity()
    run = recorded_running(Identity(own.pid, own.started, own.ticks, "another-boot"))
    with queue.transaction() as connection:
        queue.add(connection, run.id, "train", "auto")
        token = queue.claim(connection, run.id, "cpu")
        queue.accept(connection, run.id, token)
    record = files.read_record(run.directory)
    files.write_record(run.directory, record | {"token": token})
    assert runs.wait(start(epochs=1), 20).state == "finished"
    assert queue.row(run.id) is None
    assert files.read_record(run.directory)["state"] == "interrupted", "settled for good"


def test_clock_changes_and_reboots_are_told_apart_where_there_is_no_boot_id():
    assert processes.same_boot("1700000000", "1700000004")
    assert not processes.same_boot("1700000000", "1700009000")
    assert not processes.same_boot("1700000000", "f2a1-boot")


def test_status_read_at_full_speed_is_never_torn():
    run = running(seconds=0.01, epochs=150)
    reads, states, epochs = 0, set(), []
    while (found := run.status()).state in ("queued", "running"):
        states.add(found.state)
        epochs.append(found.epoch)
        storage.read_json(run.directory / "status.json")
        history = run.history()
        assert len(history) == 0 or history["epoch"].tolist() == list(range(len(history)))
        reads += 1
    assert found.state == "finished"
    assert states == {"running"}
    assert epochs == sorted(epochs)
    assert reads > 20


def test_one_damaged_config_is_flagged_and_the_others_are_listed():
    good, bad, gone = (runs.create_run({"epochs": 1}) for _ in range(3))
    (bad.directory / "config.json").write_text('{"format": 1, "kind": "tr')
    (gone.directory / "config.json").unlink()
    listed = {run.id: run for run in runs.list_runs()}
    assert set(listed) == {good.id, bad.id, gone.id}
    found = runs.statuses(listed.values())
    for run in (bad, gone):
        assert (found[run.id].state, found[run.id].error) == ("failed", "damaged")
        assert "config.json" in found[run.id].reason
        with pytest.raises(UserError, match="cannot start"):
            runs.submit(run.id)
    assert found[good.id].state == "stopped"
    assert runs.wait(runs.open_run(good.id), 0).state == "stopped"
    runs.remove(bad.id)
    assert bad.id not in {run.id for run in runs.list_runs()}


@pytest.mark.parametrize("content", ["[]", '{"format": 1}', '{"format": 9, "config": {}}', "\x00", '"a"'])
def test_every_kind_of_wrong_config_is_flagged(content):
    run = runs.create_run({})
    (run.directory / "config.json").write_text(content)
    assert runs.open_run(run.id).damaged


def test_a_config_damaged_while_it_waits_ends_as_a_failure():
    first, second = running(), start(epochs=1)
    (second.directory / "config.json").write_text("{")
    runs.stop(first)
    until(lambda: queue.row(second.id) is None, 20, "its leaving the queue")
    assert runs.open_run(second.id).status().state == "failed"
    assert runs.wait(start(epochs=1), 20).state == "finished"


def test_a_damaged_status_reads_as_damaged_and_can_be_resumed():
    run = start(epochs=1)
    runs.wait(run, 20)
    (run.directory / "status.json").write_text('{"state": "finis')
    found = run.status()
    assert (found.state, found.error) == ("failed", "damaged")
    runs.resume(run)
    assert runs.wait(run, 20).state == "finished"


def test_a_lost_queue_leaves_its_waiting_runs_interrupted_and_resumable(cache):
    first, second = running(), start(epochs=1)
    for process in engine_processes(cache, "fer.runs.dispatcher"):
        process.kill()  # so that nobody writes to the file while it is being damaged
    until(lambda: not engine_processes(cache, "fer.runs.dispatcher"))
    queue.path().write_bytes(b"this is no database" * 1000)
    for suffix in ("-wal", "-shm"):
        queue.path().with_name(queue.path().name + suffix).unlink(missing_ok=True)
    until(lambda: second.status().state == "interrupted", 10)
    assert "no longer knows it" in second.status().reason
    assert first.status().state == "running", "the running one is not touched"
    assert list(queue.path().parent.glob("queue.damaged-*"))
    runs.stop(first)
    runs.resume(second)
    assert runs.wait(second, 20).state == "finished"


def test_a_torn_last_line_of_the_history_is_not_an_epoch():
    run = runs.create_run({})
    (run.directory / "history.csv").write_text("epoch,val_accuracy\n0,0.5\n1,0.6\n2,0.")
    assert len(run.history()) == 2
    assert run.status().epoch == 2
    assert run.best() == {"val_accuracy": 0.6, "epoch": 2}


def test_the_history_holds_numbers_as_numbers_and_text_as_text():
    run = runs.create_run({})
    assert len(run.history()) == 0
    text = "epoch,val_loss,phase,late\n0,nan,head,\n1,1.5,backbone,2\n"
    (run.directory / "history.csv").write_text(text)
    history = run.history()
    assert history["epoch"].tolist() == [0, 1]
    assert math.isnan(history["val_loss"][0])
    assert history["val_loss"][1] == 1.5
    assert history["phase"].tolist() == ["head", "backbone"]
    assert math.isnan(history["late"][0])


def test_damaged_progress_and_usage_are_as_good_as_none():
    run = runs.create_run({})
    (run.directory / "progress.json").write_text("{")
    (run.directory / "usage.json").write_text(json.dumps([1]))
    assert run.status().progress == {}
    assert run.usage() == {}
