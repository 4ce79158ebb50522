"""`python -m fer.runs.worker RUN TOKEN SLOT`: the trainer, a process that outlives the dashboard."""

import faulthandler
import os
import signal
import sys

from fer.runs import processes, slots
from fer.runs.execution import execute
from fer.runs.run import open_run

NOT_MINE = 75
"""Exit code: the claim was taken back, or a lock is held; nothing was done."""


def main(arguments: list[str]) -> int:
    identifier, token, slot_name = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the dashboard's terminal is not for us
    faulthandler.enable()
    processes.lower_priority()
    supervisor = processes.identity(os.getppid())
    place = slots.slot(slot_name)
    return 0 if execute(open_run(identifier), token, place, supervisor) else NOT_MINE


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread that a library left behind must not keep the device
