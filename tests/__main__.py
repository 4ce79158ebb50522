"""Set everything up and check everything: `python tests`.

ruff (lint and format), mypy, then every test. Options that are not ours go to pytest:
`python tests -k splits`, `python tests tests/data`. Ends with a status other than 0 if anything failed.

`python tests --extras` tests the optional extras (JAX, MLflow, a Ray cluster) instead, in environments of
their own; `python tests --lowest` runs some tests with the oldest packages that the requirements allow.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path[:] = [ROOT] + [path for path in sys.path if os.path.abspath(path) != HERE]

from dashboard.interpreter import run_on_supported  # noqa: E402


def main(arguments):
    import argparse

    parser = argparse.ArgumentParser(prog="python tests", description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="install no CUDA libraries")
    parser.add_argument("--extras", action="store_true", help="test JAX, MLflow and Ray instead")
    parser.add_argument("--lowest", action="store_true", help="test the oldest packages that are allowed")
    options, for_pytest = parser.parse_known_args(arguments)
    from dashboard import environment

    try:
        python = environment.prepare([*environment.wanted(options.cpu), environment.SERVE, environment.TEST])
    except environment.SetupError as error:
        sys.stderr.write(str(error) + "\n")
        return 1
    except KeyboardInterrupt:
        return 130
    if options.extras:
        from tests.extras import environments

        try:
            return environments.run(python, for_pytest)
        except KeyboardInterrupt:
            return 130
    if options.lowest:
        from tests import lowest

        try:
            return lowest.run(python, for_pytest)
        except KeyboardInterrupt:
            return 130
    return check(str(python), for_pytest)


def check(python, for_pytest):
    """Run every check, pytest last so that its summary ends the output; 0 if all passed."""
    import subprocess

    workers = min(4, os.cpu_count() or 1)
    # In the order of tests/conftest.py; xdist would begin with the files of most tests instead.
    distribution = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    parallel = [] if "-n" in for_pytest or workers == 1 else distribution
    failed = False
    for command in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["pytest", *parallel, *for_pytest],
    ):
        print("--- " + " ".join(command), flush=True)
        try:
            failed |= subprocess.call([python, "-m", *command], cwd=ROOT) != 0
        except KeyboardInterrupt:
            return 130
    return int(failed)


if __name__ == "__main__":
    run_on_supported(HERE)
    sys.exit(main(sys.argv[1:]))
