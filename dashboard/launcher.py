"""The command `python dashboard`: options, set-up, then the server in the virtual environment."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dashboard import environment
from dashboard.environment import SetupError


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare and start; returns the exit status (1 with one sentence on standard error)."""
    options = parser().parse_args(arguments)
    try:
        python = environment.prepare(environment.wanted(options.cpu))
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the command again to go on.", file=sys.stderr)
        return 130
    if options.setup_only:
        print(f"Everything is installed in {environment.ROOT / '.venv'}. Start with: python dashboard")
        return 0
    server = ["--host", options.host, *(["--no-browser"] if options.no_browser else [])]
    server += ["--port", str(options.port)] if options.port is not None else []
    return become(python, ["-m", "dashboard.server", *server])


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="python dashboard", description=__doc__)
    described.add_argument("--setup-only", action="store_true", help="install what is needed and end")
    described.add_argument(
        "--port", type=_port, help="port to listen on (default: 8501, or the next free one)"
    )
    described.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: only this computer can connect)"
    )
    described.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    described.add_argument(
        "--cpu", action="store_true", help="install no CUDA libraries, even with an NVIDIA driver"
    )
    return described


def become(python: Path, arguments: Sequence[str]) -> int:
    """Run the environment's Python in the project folder, as this very process where the system can.

    A relative `FER_CACHE` keeps meaning what it meant where the command was given.
    """
    if os.environ.get("FER_CACHE"):
        os.environ["FER_CACHE"] = str(Path(os.environ["FER_CACHE"]).expanduser().resolve())
    os.environ.pop("PYTHONHOME", None)
    command = [str(python), *arguments]
    os.chdir(environment.ROOT)
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the server got it too and is ending


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: choose a number from 1 to 65535")
    return int(text)
