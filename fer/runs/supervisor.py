"""`python -m fer.runs.supervisor RUN TOKEN SLOT`: starts the worker, waits, and records how it ended.

The worker records its own end; this process matters when it could not: killed, crashed, out of memory.
It also ends whatever the worker started and left behind, insists on a Stop that was not answered, and
measures. When it is killed itself the run goes on, and readers find the truth without it.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from typing import Any

from fer.errors import UserError
from fer.runs import failures, files, lifecycle, processes, queue, schedule, slots
from fer.runs.processes import Identity
from fer.runs.run import Run, open_run
from fer.runs.usage import Usage, memory_limit, oom_kills
from fer.runs.worker import NOT_MINE, SUPERVISOR

POLL = 0.1
SERVED_EVERY_SECONDS = 2.0


def main(arguments: list[str]) -> int:
    identifier, token, slot_name = arguments
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)  # it must see the end of the run
    return supervise(open_run(identifier), token, slots.slot(slot_name))


def supervise(run: Run, token: str, place: slots.Slot) -> int:
    """Have the claim `token` worked on and record how it ended; 0 when it was taken over at all."""
    kills_before = oom_kills()
    worker = _start(run, token, place)
    trainer = processes.identity(worker.pid)
    usage = Usage(run.directory, trainer, place)
    over_limit = _watch(run, worker, token, usage)
    code = worker.wait()
    _tidy(run, trainer, token)
    record = files.read_record(run.directory)
    if record.get("token") != token:
        return code if code else NOT_MINE  # it never got as far as taking the run over
    oom = oom_kills() > kills_before or usage.memory_was_short()
    schedule.record_end(run.id, run.directory, token, _how_it_ended(run, code, oom, over_limit))
    _keep_the_queue_served()
    return 0


def _start(run: Run, token: str, place: slots.Slot) -> subprocess.Popen[bytes]:
    own = json.dumps(processes.identity().to_json())
    variables = slots.environment(place) | {"FER_RUN": run.id, processes.MARKER: token, SUPERVISOR: own}
    print(time.strftime("%Y-%m-%d %H:%M:%S"), f"Starting on {place.title}.", flush=True)
    return processes.spawn_detached(
        "fer.runs.worker", [run.id, token, place.name], run.directory / "train.log", variables
    )


def _watch(run: Run, worker: subprocess.Popen[bytes], token: str, usage: Usage) -> bool:
    """Until the worker has ended; True when it was ended for passing the memory limit."""
    limit, asked, over = memory_limit(), False, False
    looked = time.monotonic()
    while worker.poll() is None:
        if time.monotonic() - looked > SERVED_EVERY_SECONDS:
            looked = time.monotonic()
            _keep_the_queue_served()
        if schedule.stop_requested(run.directory):
            if not asked:
                asked = True
                processes.ask_to_end(usage.trainer)
            schedule.enforce_stop(run.directory, _record_of(usage.trainer, token))
        usage.measure()
        if limit and usage.memory > limit and not over:
            over = True
            schedule.end_family(_record_of(usage.trainer, token))
        time.sleep(POLL)
    return over


def _keep_the_queue_served() -> None:
    """The next run must not wait because somebody killed the dispatcher."""
    try:
        if any(row.state == "queued" for row in queue.rows()):
            lifecycle.ensure_dispatcher()
    except (UserError, OSError, sqlite3.Error) as error:
        print(f"The queue cannot be looked at ({error}).", flush=True)  # which must not end the watching


def _how_it_ended(run: Run, code: int, oom: bool, over_limit: bool) -> dict[str, Any]:
    if over_limit:
        megabytes = memory_limit() // 2**20
        return failures.out_of_memory(run.config, f"It needed more than its memory limit of {megabytes} MB.")
    if schedule.stop_requested(run.directory):
        return schedule.forced_stop(run.directory) | {"exit_code": code}
    return failures.explain_exit(code, oom, run.config)


def _tidy(run: Run, trainer: Identity, token: str) -> None:
    """Nothing that the worker started survives it."""
    killed = schedule.end_family(_record_of(trainer, token))
    if killed:
        print(f"Ended {len(killed)} processes that the training left behind: {killed}", flush=True)
    (run.directory / "reserve").unlink(missing_ok=True)


def _record_of(trainer: Identity, token: str) -> dict[str, Any]:
    return {"process": trainer.to_json(), "token": token, "detached": True}


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
