"""Find a Python this project runs on, in a syntax that the ones it does not run on still read.

No annotations, no f-strings, standard library only: `python dashboard` under Python 3.6 must get as far
as the sentence that says which Python to install.
"""

import os
import subprocess
import sys

OLDEST = (3, 11)
NEWEST = (3, 13)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run_on_supported(target):
    """Return if this Python is supported; otherwise run `target` again with one that is, or end.

    Args:
        target: the folder or file being run, such as `<project>/dashboard`.
    """
    if supported(sys.version_info[:2]):
        return
    found = find_supported()
    if found is None:
        sys.stderr.write(sentence() + "\n")
        sys.exit(1)
    sys.exit(subprocess.call([found, target] + sys.argv[1:]))


def supported(version):
    """Whether (major, minor) is in the tested range."""
    return OLDEST <= tuple(version) <= NEWEST


def sentence():
    """What to tell someone whose Python does not fit."""
    return (
        "Python {0}.{1} cannot run this dashboard: install Python 3.11, 3.12 or 3.13 from "
        "https://www.python.org/downloads/ and start it with that one.".format(*sys.version_info[:2])
    )


def find_supported():
    """The path of a supported Python on this machine, the project's own environment first, or None."""
    for command in _candidates():
        try:
            output = subprocess.check_output(
                command + ["-c", "import sys; print(sys.version_info[:2]); print(sys.executable)"],
                stderr=subprocess.DEVNULL,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        version, executable = output.decode("utf-8", "replace").strip().splitlines()[:2]
        if supported(int(part) for part in version.strip("()").split(",")):
            return executable
    return None


def _candidates():
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    if os.name == "nt":
        yield [os.path.join(ROOT, ".venv", "Scripts", "python.exe")]
        for minor in minors:
            yield ["py", "-3.{0}".format(minor)]
        return
    yield [os.path.join(ROOT, ".venv", "bin", "python")]
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for minor in minors:
        for folder in folders + ["/usr/local/bin", "/opt/homebrew/bin"]:
            path = os.path.join(folder, "python3.{0}".format(minor))
            if os.access(path, os.X_OK):
                yield [path]
