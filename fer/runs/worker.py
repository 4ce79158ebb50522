"""`python -m fer.runs.worker RUN TOKEN SLOT`: the trainer, a process that outlives the dashboard."""

import faulthandler
import json
import os
import signal
import sys

from fer.runs import failures, processes, slots
from fer.runs.execution import execute
from fer.runs.processes import Identity
from fer.runs.run import open_run

SUPERVISOR = "FER_SUPERVISOR"
"""Environment variable with the identity of the supervisor; its pid alone would be init's once it is dead."""

BOUND = "FER_ENDS_WITH_SUPERVISOR"
"""Environment variable: end with the supervisor; on a cluster its death frees the GPU for the next run."""

NOT_MINE = 75
"""Exit code: the claim was taken back, or a lock is held; nothing was done."""


def main(arguments: list[str]) -> int:
    identifier, token, slot_name = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the dashboard's terminal is not for us
    faulthandler.enable()
    processes.lower_priority()
    if os.environ.get(BOUND):
        processes.end_with_parent()
    supervisor = Identity.from_json(json.loads(os.environ[SUPERVISOR]))
    run = open_run(identifier)
    if run.damaged:
        failures.record_unstartable(run, run.damaged, "damaged")
        return NOT_MINE
    return 0 if execute(run, token, slots.slot(slot_name), supervisor) else NOT_MINE


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread that a library left behind must not keep the device
