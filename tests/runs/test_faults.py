"""Everything that can be killed, killed: nothing is lost, nothing runs twice, the truth is told."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from fer import runs, storage
from fer.errors import UserError
from fer.runs import files, locks, queue, slots, supervisor, usage
from tests.runs.runkit import as_in_a_terminal, engine_processes, events, running, start, until


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def half_saved(directory: Path) -> bool:
    """Whether a part of a new model lies beside the old one."""
    return any(part.suffix == ".keras" for part in directory.glob(f"{storage.STAGING_PREFIX}*"))


def test_kill_9_of_the_trainer_at_twenty_random_moments(monkeypatch):
    """Best loads, history equals the last completed epoch, `killed` within 5 s, and Resume goes on.

    Every second one is killed while half of a new model is on the disk.
    """
    monkeypatch.setenv("FER_FAKE_GPUS", "4")
    chance = random.Random(5)
    settings = {"seconds": 0.01, "epochs": 100_000, "best_bytes": 500_000}
    waiting = [start(**settings, slow_save=0.2 * (number % 2)) for number in range(20)]
    slowest, torn = 0.0, 0
    for number, run in enumerate(waiting):
        until(lambda run=run: run.status().pid, 40)
        time.sleep(chance.random() * 0.4)
        pid = run.status().pid
        if number % 2:
            until(lambda run=run: half_saved(run.directory), 10, "a save")
        kill(pid)
        torn += half_saved(run.directory)
        slowest = max(slowest, until(lambda run=run: run.status().state == "killed", 5, "killed"))
        found = run.status()
        assert found.pid is None
        assert "ended from outside" in found.reason
        assert "Resume" in found.remedy
        history = run.history()
        assert len(history) == found.epoch
        best = run.directory / "best.keras"
        if found.epoch:
            content = best.read_bytes()
            assert len(content) == 500_000
            assert len(set(content)) == 1
            assert content[0] % 256 in (found.epoch % 256, (found.epoch - 1) % 256)
    assert slowest < 5
    assert torn >= 8, "hardly any was killed while it saved"
    resumed = waiting[0]
    reached = resumed.status().epoch
    runs.resume(resumed)
    until(lambda: resumed.status().epoch > reached, what="progress after Resume")
    runs.stop(resumed)
    epochs = resumed.history()["epoch"].tolist()
    assert epochs == list(range(len(epochs)))


def test_the_supervisor_killed_leaves_the_run_running_and_the_truth_known(cache):
    run = running()
    supervisor = files.read_record(run.directory)["supervisor"]["pid"]
    kill(supervisor)
    until(lambda: not engine_processes(cache, "fer.runs.supervisor"))
    epoch = run.status().epoch
    until(lambda: run.status().epoch > epoch, what="progress without supervisor")
    kill(run.status().pid)
    assert until(lambda: run.status().state == "killed", 5) < 5
    assert runs.wait(start(epochs=1), 20).state == "finished", "its slot is free again"


def test_supervisor_killed_then_stopped():
    run = running()
    kill(files.read_record(run.directory)["supervisor"]["pid"])
    assert runs.stop(run).state == "stopped"
    assert run.status().reason.startswith("Stopped by you")


@pytest.mark.parametrize("wait", [True, False])
def test_a_trainer_that_does_not_listen_is_ended_within_ten_seconds(wait):
    """By whoever asked, and by the supervisor when the asker is gone at once."""
    run = running(deaf=1)
    before = time.monotonic()
    runs.stop(run, wait=wait)
    until(lambda: run.status().state == "stopped", 10)
    found = run.status()
    assert time.monotonic() - before < 10
    assert found.state == "stopped"
    assert "by force" in found.reason
    assert len(run.history()) == found.epoch > 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_the_trainer_started_does_not_survive_it(end):
    """A forked child, and one that left the group and the session."""
    run = running(fork=1, escape=1)
    until(lambda: (run.directory / "escaped.pid").exists())
    children = [int((run.directory / name).read_text()) for name in ("child.pid", "escaped.pid")]
    assert all(psutil.pid_exists(pid) for pid in children)
    if end == "stop":
        runs.stop(run)
    else:
        kill(run.status().pid)
    until(lambda: not any(_lives(pid) for pid in children), 10, "the end of its children")
    until(lambda: not locks.is_held("slot-cpu"), 5, "the release of its slot")
    until(lambda: run.status().state == ("stopped" if end == "stop" else "killed"), 5, end)


def test_children_are_ended_by_the_next_dispatcher_when_nobody_else_is_left(cache):
    run = running(fork=1, escape=1)
    until(lambda: (run.directory / "escaped.pid").exists())
    children = [int((run.directory / name).read_text()) for name in ("child.pid", "escaped.pid")]
    assert run.status().pid not in runs.orphans()
    for process in engine_processes(cache, "fer.runs.dispatcher"):
        kill(process.pid)
    kill(files.read_record(run.directory)["supervisor"]["pid"])
    kill(run.status().pid)
    until(lambda: run.status().state == "killed")
    until(runs.ensure_dispatcher, 5, "a new dispatcher")
    until(lambda: not any(_lives(pid) for pid in children), 10, "the end of its children")
    assert run.status().state == "killed"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_the_end_of_the_launching_process_does_not_reach_the_run(how, cache, tmp_path):
    """Ctrl-C reaches the whole foreground group of a terminal, so the whole group gets the signal."""
    log = tmp_path / "events"
    code = (
        "import sys, time; from fer import runs;"
        f"run = runs.create_run({{'epochs': 30, 'seconds': 0.1, 'events': {str(log)!r}}});"
        "runs.submit(run); print(run.id, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(storage.PROJECT)}
    launcher = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
    )
    run = runs.open_run(launcher.stdout.readline().strip())
    until(lambda: run.status().state == "running")
    os.killpg(launcher.pid, how)
    launcher.wait(10)
    launcher.stdout.close()
    found = runs.open_run(run.id)  # a dashboard started again adopts it
    assert found.status().state == "running"
    assert found.status().pid
    assert runs.wait(found, 20).state == "finished"
    assert [what for _, what, *_ in events(log)] == ["start", "end"]


def test_memory_limit(monkeypatch):
    monkeypatch.setenv("FER_MEMORY_LIMIT", "150")
    run = start(eat_megabytes=400)
    found = runs.wait(run, 30)
    assert (found.state, found.error) == ("failed", "out_of_memory")
    assert "150 MB" in found.reason
    assert "Halve the batch" in found.remedy
    assert not locks.is_held("slot-cpu")


CGROUP = Path("/sys/fs/cgroup/memory")


def test_the_kernels_out_of_memory_killer_is_told_from_other_kills():
    """With a real memory cgroup (version 1, as root); the next test has a forged counter everywhere."""
    group = CGROUP / f"fer-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no memory cgroup to make here")
    try:
        (group / "memory.limit_in_bytes").write_text(str(200 * 2**20))
        run = start(eat_megabytes=3000, seconds=0.1, before=1.0)
        until(lambda: run.status().pid)
        (group / "cgroup.procs").write_text(str(run.status().pid))
        found = runs.wait(run, 60)
        assert (found.state, found.error) == ("failed", "out_of_memory")
        assert "ran out of memory" in found.reason
        assert "Halve the batch" in found.remedy
    finally:
        until(lambda: not (group / "cgroup.procs").read_text().strip())
        group.rmdir()


@pytest.mark.parametrize("rose", [True, False])
def test_a_kill_counts_as_short_memory_when_the_kernel_counted_one(tmp_path, monkeypatch, rose):
    """The supervisor of this process, with a counter of the kernel's that is a file of the test's."""
    counter = tmp_path / "vmstat"
    counter.write_text("nr_free_pages 1\noom_kill 4\nunevictable_pgs_culled 0\n")
    monkeypatch.setattr(usage, "Path", lambda name: {"/proc/vmstat": counter}[name])
    assert usage.oom_kills() == 4
    run = runs.create_run({"epochs": 1000, "seconds": 0.05, "batch_size": 64})
    with queue.transaction() as connection:
        queue.add(connection, run.id, "train", "auto")
        token = queue.claim(connection, run.id, slots.CPU_SLOT.name)
    watching = threading.Thread(target=supervisor.supervise, args=(run, token, slots.CPU_SLOT))
    watching.start()
    until(lambda: run.status().pid)
    counter.write_text(f"nr_free_pages 1\noom_kill {4 + rose}\n")
    kill(run.status().pid)
    watching.join(20)
    found = run.status()
    if rose:
        assert (found.state, found.error) == ("failed", "out_of_memory")
        assert "ran out of memory" in found.reason
        assert "Halve the batch size to 32" in found.remedy
    else:
        assert found.state == "killed"
        assert "ended from outside" in found.reason


def test_a_full_disk_keeps_the_best_model_and_says_so(tmp_path):
    """On a small file system of its own (as root)."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        code = (
            "from fer import runs;"
            "config = {'epochs': 1000, 'seconds': 0.02, 'best_bytes': 600_000, 'fill_at': 3};"
            "run = runs.create_run(config);"
            "runs.submit(run); found = runs.wait(run, 30);"
            "print(found.state, found.error, found.epoch, found.reason, found.remedy, sep='|')"
        )
        environment = {**os.environ, "FER_CACHE": str(disk), "PYTHONPATH": str(storage.PROJECT)}
        output = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
        )
        assert output.returncode == 0, output.stderr
        state, error, epoch, reason, remedy = output.stdout.strip().split("|")
        assert (state, error) == ("failed", "disk_full")
        assert "disk is full" in reason
        assert "Free some space" in remedy
        (best,) = disk.glob("runs/*/best.keras")
        content = best.read_bytes()
        assert len(content) == 600_000
        assert content[0] in (int(epoch), int(epoch) - 1)
        assert len(set(content)) == 1
    finally:
        for process in engine_processes(disk):
            process.kill()
        until(lambda: not engine_processes(disk))
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.quiet
def test_twenty_queued_runs_with_the_dispatcher_killed_twice(cache, monkeypatch, tmp_path):
    """Each once, in launch order, never two in a slot, at most 2 s idle between."""
    log = tmp_path / "events"
    order = [start(seconds=0.05, epochs=1, events=str(log)) for _ in range(20)]
    for done in (4, 12):
        until(lambda done=done: log.exists() and len(events(log)) >= 2 * done, 60)
        for process in engine_processes(cache, "fer.runs.dispatcher"):
            kill(process.pid)
        if done == 12:
            runs.ensure_dispatcher()  # what a dashboard does when it starts again
    for run in order:
        assert runs.wait(run, 60).state == "finished"
    lines = events(log)
    assert [run for _, what, run, *_ in lines if what == "start"] == [run.id for run in order]
    assert [what for _, what, *_ in lines] == ["start", "end"] * 20, "never two at once"
    starts, ends = ([line[0] for line in lines if line[1] == what] for what in ("start", "end"))
    idle = [start_ - end for start_, end in zip(starts[1:], ends[:-1], strict=True)]
    print(f"idle between runs: median {sorted(idle)[len(idle) // 2]:.2f} s, longest {max(idle):.2f} s")
    assert max(idle) < 2.0, [round(seconds, 2) for seconds in idle]


def test_a_dispatcher_killed_between_claim_and_start_loses_nothing():
    run = runs.create_run({"epochs": 1})
    runs.pause()
    runs.submit(run)
    with queue.transaction() as connection:
        queue.claim(connection, run.id, "cpu")  # and then it died, before it started anything
    assert run.status().state == "queued"
    for process in engine_processes(storage.cache_directory(), "fer.runs.dispatcher"):
        kill(process.pid)
    until(lambda: not engine_processes(storage.cache_directory()))
    runs.pause(paused=False)
    assert runs.wait(run, 20).state == "finished"


def test_twelve_racing_launchers_start_each_run_once(cache, monkeypatch, tmp_path):
    """Three runs, two slots, twelve processes that all submit all three at the same moment."""
    monkeypatch.setenv("FER_FAKE_GPUS", "2")
    log = tmp_path / "events"
    made = [runs.create_run({"epochs": 3, "seconds": 0.1, "events": str(log)}) for _ in range(3)]
    code = (
        "import sys, time; from fer import runs;"
        "time.sleep(max(0, float(sys.argv[1]) - time.time()));"
        "[runs.submit(name) for name in sys.argv[2:]]"
    )
    environment = {**os.environ, "PYTHONPATH": str(storage.PROJECT)}
    at = str(time.time() + 3.0)
    racers = [
        subprocess.Popen([sys.executable, "-c", code, at, *(run.id for run in made)], env=environment)
        for _ in range(12)
    ]
    assert [racer.wait(60) for racer in racers] == [0] * 12
    for run in made:
        assert runs.wait(run, 30).state == "finished"
    lines = events(log)
    assert Counter((what, run) for _, what, run, *_ in lines) == Counter(
        (what, run.id) for what in ("start", "end") for run in made
    )
    holders: Counter[str] = Counter()
    for _, what, _, device, _ in lines:
        holders[device] += 1 if what == "start" else -1
        assert holders[device] in (0, 1), "two holders of one slot"
    assert len(engine_processes(cache, "fer.runs.dispatcher")) == 1


def test_two_clicks_in_one_moment_make_one_run():
    code = (
        "import sys, time; from fer import runs;"
        "time.sleep(max(0, float(sys.argv[1]) - time.time()));"
        "run = runs.create_run({'epochs': 1}, request='one click'); runs.submit(run); print(run.id)"
    )
    environment = {**os.environ, "PYTHONPATH": str(storage.PROJECT)}
    at = str(time.time() + 1.5)
    clicks = [
        subprocess.Popen([sys.executable, "-c", code, at], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    made = {click.communicate(timeout=60)[0].strip() for click in clicks}
    assert len(made) == 1
    assert [run.id for run in runs.list_runs()] == list(made)


def test_delete_while_it_runs_is_refused_and_a_folder_torn_away_is_survived(cache):
    run = running()
    with pytest.raises(UserError, match="Stop it first"):
        runs.remove(run)
    assert run.status().state == "running"
    torn = run.directory.with_name("torn")
    os.replace(run.directory, torn)  # somebody deletes the folder by hand
    assert [other.id for other in runs.list_runs() if other.id == run.id] == []
    until(lambda: not engine_processes(cache, "fer.runs.worker"), 15, "the end of the trainer")
    assert runs.wait(start(epochs=1), 20).state == "finished"


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
