"""Prepare the virtual environment `.venv` and install the requirements, once, safely and repeatably.

Standard library only: this runs before anything is installed. What is installed is recorded in
`.venv/setup.json` (requirement file → hash of its content) after pip succeeded, so an interrupted
set-up is simply done again. A lock lets two set-ups at once wait for each other.
"""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dashboard.interpreter import NEWEST, OLDEST, supported
from dashboard.setup_failures import last_line, os_sentence, sentence

ROOT = Path(__file__).resolve().parent.parent
BASE = "requirements.txt"
GPU = "requirements-gpu.txt"
TEST = "requirements-test.txt"
SERVE = "requirements-serve.txt"
NEEDED_GB = {BASE: 4.0, GPU: 6.0, TEST: 0.5}  # unpacked, and pip's temporary copies

Say = Callable[[str], None]


class SetupError(Exception):
    """The environment cannot be prepared; the message is the one sentence to show."""


def prepare(files: Sequence[str] = (BASE,), root: Path = ROOT, say: Say = print) -> Path:
    """Make sure the requirement files are installed in `<root>/.venv`, and return its Python.

    Args:
        files: names of requirement files in `root`.
        root: the project folder.
        say: shows one line of progress.

    Raises:
        SetupError: no network, no space, no permission, or a Python that cannot do it.
    """
    venv = root / ".venv"
    try:
        if is_ready(venv, files, root):
            return interpreter_of(venv)
        check_machine()
        with _one_at_a_time(root, say):
            if not is_ready(venv, files, root):
                if not works(venv):
                    check_space(root, files)
                    create(venv, say)
                install(venv, files, root, say)
    except OSError as error:
        raise SetupError(os_sentence(error, root)) from error
    return interpreter_of(venv)


def wanted(cpu: bool) -> list[str]:
    """The requirement files for this machine: the CUDA libraries only where a driver can use them."""
    return [BASE] if cpu or not has_nvidia_driver() else [BASE, GPU]


def has_nvidia_driver() -> bool:
    """Whether this is Linux with a working NVIDIA driver (WSL included)."""
    if sys.platform != "linux":
        return False
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi") or shutil.which("/usr/lib/wsl/lib/nvidia-smi")
    if not tool:
        return False
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listing.returncode == 0 and "GPU" in listing.stdout


def interpreter_of(venv: Path) -> Path:
    """Where the Python of a virtual environment lies on this system."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_ready(venv: Path, files: Sequence[str], root: Path) -> bool:
    """Whether exactly these requirement files were installed here and their packages still are."""
    try:
        recorded = json.loads((venv / "setup.json").read_text(encoding="utf-8"))["files"]
        if any(recorded.get(name) != _hash(root / name) for name in files):
            return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    packages = [package for name in files for package in _packages(root / name)]
    script = f"from importlib.metadata import version\nfor p in {packages!r}: version(p)"
    return _succeeds([interpreter_of(venv), "-I", "-c", script])


def works(venv: Path) -> bool:
    """Whether the environment has a supported Python that runs, and pip."""
    script = f"import sys, pip; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    return _succeeds([interpreter_of(venv), "-I", "-c", script])


def check_machine() -> None:
    """Refuse, in one sentence, a machine TensorFlow has no wheel for."""
    if not supported(sys.version_info[:2]):
        raise SetupError(f"Python {platform.python_version()} is not supported: use 3.11, 3.12 or 3.13.")
    if sys.maxsize < 2**32:
        raise SetupError(
            "This Python is a 32-bit one, for which there is no TensorFlow: install a 64-bit Python."
        )
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise SetupError(
            "There is no TensorFlow for Macs with an Intel processor: use an Apple-silicon Mac "
            "(with a Python built for it), Linux or Windows."
        )


def check_space(root: Path, files: Sequence[str]) -> None:
    """Refuse to begin a first installation that cannot fit."""
    needed = sum(NEEDED_GB.get(name, 0) for name in files)
    free = shutil.disk_usage(root).free / 1e9
    if free < needed:
        raise SetupError(
            f"The disk is too full: the first set-up needs about {needed:.1f} GB in {root}, and "
            f"{free:.1f} GB are free; make room and run the command again."
        )


def create(venv: Path, say: Say) -> None:
    """Make the virtual environment anew, with the Python that is running."""
    say(f"Creating the virtual environment {venv} with Python {platform.python_version()} …")
    base = getattr(sys, "_base_executable", None) or sys.executable
    made = subprocess.run(
        [base, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True, env=_clean_environment()
    )
    if made.returncode == 0:
        return
    output = made.stdout + made.stderr
    if "ensurepip" in output:
        raise SetupError(
            "This Python cannot create a virtual environment because ensurepip is missing: on Debian and "
            f"Ubuntu run 'sudo apt install python3.{sys.version_info[1]}-venv', then this command again."
        )
    raise SetupError(
        sentence(output, venv) or f"The virtual environment could not be made: {last_line(output)}"
    )


def install(venv: Path, files: Sequence[str], root: Path, say: Say) -> None:
    """Install the requirement files and record that they are."""
    record = venv / "setup.json"
    recorded = _recorded(record)
    hashes = {name: _hash(root / name) for name in files}
    record.unlink(missing_ok=True)
    first = (
        "" if recorded or BASE not in files else " (some minutes the first time, and about 1 GB of download)"
    )
    say(f"Installing {', '.join(files)}{first} …")
    command = [interpreter_of(venv), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    command += ["--retries", "3", *(part for name in files for part in ("-r", str(root / name)))]
    status, output = _run_pip(command, venv / "setup.log", say)
    if status != 0:
        hint = " (or use --cpu, which needs no CUDA libraries)" if GPU in files else ""
        reason = (
            sentence(output, venv) or f"pip could not install the requirements{hint}: {last_line(output)}"
        )
        raise SetupError(f"{reason} All of pip's output is in {venv / 'setup.log'}.")
    _replace(record, json.dumps({"python": platform.python_version(), "files": recorded | hashes}, indent=1))


def _run_pip(command: list, log: Path, say: Say) -> tuple[int, str]:
    """Run pip, keep all it says in `log`, and show what takes long; returns (exit status, output)."""
    lines: list[str] = []
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=_clean_environment(),
    )
    assert process.stdout is not None
    try:
        with open(log, "w", encoding="utf-8") as file:
            for line in process.stdout:
                lines.append(line)
                file.write(line)
                worth = re.match(r"\s*Downloading (\S+) \((\d{2,}\.\d MB)\)", line)
                if worth:
                    say(f"  downloading {worth[1].rsplit('/', 1)[-1]} ({worth[2]})")
                elif line.startswith("Installing collected packages"):
                    say(f"  unpacking {line.count(',') + 1} packages")
    except BaseException:
        process.kill()
        raise
    finally:
        process.stdout.close()
        status = process.wait()
    return status, "".join(lines)


@contextmanager
def _one_at_a_time(root: Path, say: Say) -> Iterator[None]:
    """Hold the set-up lock of this project; the kernel releases it when the holder ends, however it ends."""
    path = root / "cache" / ".setup.lock"
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        if not _lock(file.fileno()):
            say("Another set-up of this project is running; waiting for it …")
            while not _lock(file.fileno()):
                time.sleep(0.2)
        yield  # closing the file releases the lock


def _lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def _clean_environment() -> dict[str, str]:
    """The environment without what would send pip or Python elsewhere than the virtual environment."""
    misleading = {"PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "__PYVENV_LAUNCHER__"}
    kept = {key: value for key, value in os.environ.items() if key.upper() not in misleading}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}


def _packages(requirements: Path) -> list[str]:
    """The package names in a requirement file, without those only some systems install."""
    lines = (line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    wanted_here = (line for line in lines if line and not line.startswith("-") and ";" not in line)
    return [re.split(r"[\s\[<>=!~]", line)[0] for line in wanted_here]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _recorded(record: Path) -> dict[str, str]:
    try:
        return dict(json.loads(record.read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _replace(path: Path, content: str) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, path)


def _succeeds(command: list) -> bool:
    try:
        return subprocess.run([str(c) for c in command], capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
