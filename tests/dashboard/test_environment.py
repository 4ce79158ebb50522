"""`python dashboard` up to the server: the environment is made once, safely, and failures are one sentence.

A copy of the set-up modules with a requirement file of its own stands in for the project; pip is the real
one and installs tiny wheels from a folder, so nothing here needs the network.
"""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from dashboard import environment
from dashboard.environment import SetupError

ROOT = Path(environment.__file__).resolve().parent.parent
MODULES = ("__init__", "__main__", "interpreter", "environment", "setup_failures", "launcher")
posix = pytest.mark.skipif(os.name == "nt", reason="uses a shell script as a stand-in")


def wheel(folder: Path, name: str, version: str) -> None:
    """The smallest wheel pip installs: one module with a version."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name, version in (("tiny", "1.0"), ("tiny", "2.0"), ("small", "1.0")):
        wheel(folder, name, version)
    return folder


def only_wheels(patch: pytest.MonkeyPatch, wheels: Path) -> None:
    """pip finds the wheels of the test and nothing else, whatever this machine has configured."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        patch.delenv(name)
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(wheels))


@pytest.fixture(autouse=True)
def offline_pip(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    only_wheels(monkeypatch, wheels)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the set-up modules, one requirement and no environment yet."""
    root = tmp_path / "a project"
    (root / "dashboard").mkdir(parents=True)
    for module in MODULES:
        shutil.copy(ROOT / "dashboard" / f"{module}.py", root / "dashboard")
    (root / "requirements.txt").write_text("tiny>=1.0,<2\n", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """A project set up once: making an environment takes seconds."""
    root = tmp_path_factory.mktemp("made")
    (root / "requirements.txt").write_text("tiny>=1.0,<2\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        only_wheels(patch, wheels)
        environment.prepare(root=root, say=lambda line: None)
    return root


@pytest.fixture
def ready(project: Path, made: Path) -> Path:
    """The project after its set-up: the environment of `made`, as files only ever replaced."""
    shutil.copytree(made / ".venv", project / ".venv", symlinks=True, copy_function=os.link)
    return project


def prepare(root: Path, *files: str) -> list[str]:
    """What a set-up says; nothing when there was nothing to do."""
    said: list[str] = []
    environment.prepare(files or (environment.BASE,), root=root, say=said.append)
    return said


def installed(root: Path, module: str) -> str:
    """The version of a module in the project's environment, '' if it is not there."""
    python = environment.interpreter_of(root / ".venv")
    script = f"import {module}; print({module}.VERSION)"
    return subprocess.run([python, "-c", script], capture_output=True, text=True).stdout.strip()


def command(root: Path, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """`python dashboard …` from another folder."""
    return subprocess.run(
        [sys.executable, str(root / "dashboard"), *options],
        capture_output=True,
        text=True,
        env=os.environ | changes,
        cwd=root.parent,
        timeout=120,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert all(word in lines[0] for word in words), lines[0]


def test_first_start_installs_and_the_second_does_nothing(project: Path):
    assert any("Creating" in line for line in prepare(project))
    assert installed(project, "tiny") == "1.0"
    assert prepare(project) == []


def test_changed_requirements_are_installed_and_the_environment_stays(ready: Path):
    keepsake = ready / ".venv" / "keepsake"
    keepsake.touch()
    (ready / "requirements.txt").write_text("tiny>=2.0\nsmall\n", encoding="utf-8")
    assert any("Installing" in line for line in prepare(ready))
    assert (installed(ready, "tiny"), installed(ready, "small")) == ("2.0", "1.0")
    assert keepsake.exists()
    assert prepare(ready) == []


def test_another_line_ending_is_no_change(ready: Path):
    (ready / "requirements.txt").write_bytes(b"tiny>=1.0,<2\r\n")
    assert prepare(ready) == []


def test_extra_files_are_added_once_and_forgotten_by_nobody(ready: Path):
    (ready / "requirements-test.txt").write_text("-r requirements.txt\nsmall  # reason\n", encoding="utf-8")
    assert prepare(ready, environment.BASE, environment.TEST) != []
    assert installed(ready, "small") == "1.0"
    assert prepare(ready) == []
    assert prepare(ready, environment.BASE, environment.TEST) == []


@posix
def test_an_environment_whose_python_is_gone_is_made_again(ready: Path):
    python = environment.interpreter_of(ready / ".venv")
    for link in python.parent.glob("python*"):
        link.unlink()
    python.symlink_to("/nonexistent/python3.11")
    assert any("Creating" in line for line in prepare(ready))
    assert installed(ready, "tiny") == "1.0"


def test_a_package_that_was_removed_is_installed_again(ready: Path):
    python = environment.interpreter_of(ready / ".venv")
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "tiny"], check=True, capture_output=True)
    assert prepare(ready) != []
    assert installed(ready, "tiny") == "1.0"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": null}'])
def test_a_damaged_record_means_install_again(ready: Path, content: str):
    record = ready / ".venv" / "setup.json"
    record.unlink()  # a link to the one of `made`
    record.write_text(content, encoding="utf-8")
    assert prepare(ready) != []
    assert prepare(ready) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("moment", ["Creating", "Installing"])
def test_a_killed_set_up_is_done_again(request: pytest.FixtureRequest, moment: str):
    project = request.getfixturevalue("project" if moment == "Creating" else "ready")
    (project / "requirements.txt").write_text("tiny>=2.0\n", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-u", str(project / "dashboard"), "--setup-only"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if moment in line:
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    done = command(project, "--setup-only")
    assert done.returncode == 0, done.stderr
    assert installed(project, "tiny") == "2.0"


def test_two_set_ups_at_once_make_one_environment(project: Path):
    both = [
        subprocess.Popen(
            [sys.executable, str(project / "dashboard"), "--setup-only"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Creating" in output for output in outputs) == 1
    assert sum("Installing" in output for output in outputs) == 1
    assert installed(project, "tiny") == "1.0"


def test_options_meant_for_other_pythons_do_not_lead_pip_astray(ready: Path, tmp_path: Path):
    (ready / "requirements.txt").write_text("tiny>=2.0\n", encoding="utf-8")
    done = command(
        ready, "--setup-only", PIP_USER="1", PYTHONPATH=str(tmp_path), PIP_TARGET=str(tmp_path / "away")
    )
    assert done.returncode == 0, done.stderr
    assert installed(ready, "tiny") == "2.0"
    assert not (tmp_path / "away").exists()


def test_no_network_is_one_sentence_and_the_next_try_works(ready: Path):
    (ready / "requirements.txt").write_text("tiny>=2.0\n", encoding="utf-8")
    done = command(
        ready,
        "--setup-only",
        PIP_NO_INDEX="0",
        PIP_FIND_LINKS="",
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
    )
    assert_one_sentence(done, "network", "again")
    assert not (ready / ".venv" / "setup.json").exists()
    prepare(ready)
    assert installed(ready, "tiny") == "2.0"


def test_a_package_that_does_not_exist_is_named(ready: Path):
    (ready / "requirements.txt").write_text("absent>=1\n", encoding="utf-8")
    assert_one_sentence(command(ready, "--setup-only"), "absent>=1", "Python")


def test_too_little_space_is_said_before_anything_is_made(project: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(project)._replace(free=1_200_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SetupError, match=r"needs about 4\.0 GB .* 1\.2 GB are free"):
        prepare(project)
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        ("OSError: [Errno 122] Disk quota exceeded", "disk is full"),
        ("NewConnectionError('<pip._vendor…>: [Errno -3] Temporary failure in name resolution')", "network"),
        ("ReadTimeoutError(\"HTTPSConnectionPool(host='pypi.org', port=443): Read timed out.\")", "network"),
        (
            "HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded (Caused by SSLError("
            "SSLCertVerificationError(1, 'certificate verify failed')))",
            "certificate",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'",
            "permission",
        ),
        ("ERROR: No matching distribution found for tensorflow<2.22,>=2.21", "tensorflow<2.22"),
        ("ERROR: ResolutionImpossible: something new", "ResolutionImpossible: something new"),
    ],
)
def test_what_pip_says_becomes_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, output: str, words: str
):
    (project / ".venv").mkdir()
    monkeypatch.setattr(environment, "_run_pip", lambda *_: (1, f"Collecting tiny\n{output}\n"))
    with pytest.raises(SetupError) as caught:
        environment.install(project / ".venv", [environment.BASE], project, print)
    assert words.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)
    assert not (project / ".venv" / "setup.json").exists()


@posix
def test_debian_without_ensurepip_is_told_what_to_install(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stub = tmp_path / "python-without-ensurepip"
    stub.write_text("#!/bin/sh\necho 'failing because ensurepip is not available.'; exit 1\n")
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(stub))
    with pytest.raises(SetupError, match=rf"apt install python3\.{sys.version_info[1]}-venv"):
        prepare(project)


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(project: Path):
    project.chmod(0o555)
    try:
        assert_one_sentence(command(project, "--setup-only"), "permission")
    finally:
        project.chmod(0o755)


def test_files_read_by_old_pythons_have_no_newer_syntax():
    for path in (
        "dashboard/__init__.py",
        "dashboard/__main__.py",
        "dashboard/interpreter.py",
        "tests/__main__.py",
    ):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), feature_version=(3, 4))
        assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)], path


OLD = """
import runpy, sys
sys.version_info = (3, 9, 2)
sys.argv = [{0!r}, "--help"]
runpy.run_path({0!r}, run_name="__main__")
"""


@pytest.mark.parametrize("folder", ["dashboard", "tests"])
def test_an_unsupported_python_is_one_sentence(project: Path, folder: str):
    shutil.copytree(ROOT / "tests", project / "tests", ignore=lambda *_: {"data"}, dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", OLD.format(str(project / "dashboard"))],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": ""},
    )
    assert_one_sentence(done, "Python 3.9", "3.11, 3.12 or 3.13")


@posix
def test_an_unsupported_python_hands_over_to_a_supported_one(project: Path, tmp_path: Path):
    shim = tmp_path / "bin" / "python3.12"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    shim.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", OLD.format(str(project / "dashboard"))],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert "--setup-only" in done.stdout


@posix
def test_cuda_libraries_only_with_a_driver_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if Path("/proc/driver/nvidia/version").exists():
        assert environment.wanted(cpu=False) == [environment.BASE, environment.GPU]
        return
    monkeypatch.setattr(sys, "platform", "linux")
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert environment.wanted(cpu=False) == [environment.BASE]
    for answer, status, files in (
        ("GPU 0: NVIDIA H200 (UUID: GPU-1)", 0, [environment.BASE, environment.GPU]),
        ("NVIDIA-SMI has failed because it couldn't communicate with the driver", 9, [environment.BASE]),
    ):
        tool.write_text(f'#!/bin/sh\necho "{answer}"; exit {status}\n')
        tool.chmod(0o755)
        assert environment.wanted(cpu=False) == files
        assert environment.wanted(cpu=True) == [environment.BASE]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert environment.wanted(cpu=False) == [environment.BASE]


def test_machines_without_tensorflow_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(SetupError, match="Intel"):
        environment.check_machine()
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    environment.check_machine()
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    with pytest.raises(SetupError, match="64-bit"):
        environment.check_machine()


def test_the_record_names_what_is_installed(ready: Path):
    recorded = json.loads((ready / ".venv" / "setup.json").read_text(encoding="utf-8"))
    assert list(recorded["files"]) == ["requirements.txt"]


@pytest.mark.parametrize("port", ["0", "65536", "eight", "-1"])
def test_a_port_that_is_none_is_bad_usage(project: Path, port: str):
    done = command(project, "--port", port)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_real_requirement_files_say_what_they_need():
    """Every line has a lower and an upper bound, and the GPU file agrees with the others on TensorFlow."""
    lines = {
        name: [
            line.split("#")[0].strip()
            for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
            if line.split("#")[0].strip() and not line.startswith("-r")
        ]
        for name in (environment.BASE, environment.GPU, environment.SERVE, environment.TEST)
    }
    for name, requirements in lines.items():
        unbounded = [
            line for line in requirements if "==" not in line and not (">=" in line and ",<" in line)
        ]
        assert not unbounded, name
    assert lines[environment.GPU] == [
        line.replace("tensorflow", "tensorflow[and-cuda]")
        for line in lines[environment.BASE]
        if line.startswith("tensorflow")
    ]


OPTIONAL = {
    "jax",
    "torch",
    "ray",
    "mlflow",
}  # other backends and extras: imported only where they are asked for


def test_every_package_that_is_imported_is_required():
    """In `fer`, `dashboard` and `pages`: nothing comes only by way of another package."""
    files = (environment.BASE, environment.SERVE)
    required = {name.lower() for file in files for name in environment._packages(ROOT / file)}
    providers = packages_distributions()
    missing: dict[str, str] = {}
    for folder in ("fer", "dashboard", "pages"):
        for path in (ROOT / folder).rglob("*.py"):
            for module in _imported(path):
                names = {name.lower().replace("_", "-") for name in providers.get(module, [module])}
                if not names & required and module not in OPTIONAL:
                    missing[module] = str(path.relative_to(ROOT))
    assert not missing


def _imported(path: Path) -> set[str]:
    """Top-level names of the packages a file imports, without the standard library's and our own."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"fer", "dashboard", "pages", "__future__"}
