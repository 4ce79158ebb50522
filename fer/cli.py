"""`python -m fer COMMAND [--json]`: parsing, progress and output; the work is in `fer.commands`.

With `--json`, standard output carries one JSON document and nothing else. An error is one line on
standard error and exit status 1, wrong usage 2, Ctrl-C 130; never a traceback.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from fer.errors import UserError


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = parser().parse_args(arguments)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints is not our output
            result = options.run(options, progress_reporter(options))
        _print(result, options)
    except UserError as error:
        remedy = str(getattr(error, "remedy", "") or "")
        message = str(error) if remedy in str(error) else f"{error} {remedy}"
        print(" ".join(message.split()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` closed our output; nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        print("Out of memory: close other programs, or use a smaller batch or data set.", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all commands, made from `fer.commands.COMMANDS`."""
    from fer.commands import COMMANDS

    common = Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document")
    common.add_argument(
        "--progress", choices=("auto", "json", "none"), default="auto", help=argparse.SUPPRESS
    )
    whole = Parser(prog="python -m fer", description="Facial-expression recognition on FER-2013.")
    added = whole.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        sub = added.add_parser(command.name, help=command.help, description=command.help, parents=[common])
        for flags, settings in command.arguments:
            sub.add_argument(*flags, **settings)
        sub.set_defaults(run=command.run, text=command.text)
    return whole


def progress_reporter(options: argparse.Namespace) -> Callable[[float, str], None]:
    """A progress callback: a bar on a terminal, JSON lines for the dashboard, else nothing."""
    if options.progress == "json":
        return _json_lines()
    if options.progress == "auto" and sys.stderr.isatty():
        return _bar()
    return lambda fraction, text: None


def _json_lines() -> Callable[[float, str], None]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the dashboard's terminal is not for us
    last = [0.0]

    def report(fraction: float, text: str) -> None:
        if fraction >= 1 or time.monotonic() - last[0] > 0.1:
            last[0] = time.monotonic()
            line = json.dumps({"fraction": float(fraction), "text": str(text)})
            with contextlib.suppress(BrokenPipeError, OSError):  # the tab was closed; finish the work
                print(line, file=sys.stderr, flush=True)

    return report


def _bar() -> Callable[[float, str], None]:
    def report(fraction: float, text: str) -> None:
        width = 30
        full = int(width * min(max(fraction, 0.0), 1.0))
        end = "\n" if fraction >= 1 else ""
        print(f"\r[{'#' * full}{'.' * (width - full)}] {text[:60]:60}", end=end, file=sys.stderr, flush=True)

    return report


def _print(result: Any, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(_plain(result), indent=1, allow_nan=False))
    else:
        print(options.text(result))


def _plain(value: Any) -> Any:
    """JSON types only: NumPy scalars and arrays as numbers and lists, not-a-number as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)
