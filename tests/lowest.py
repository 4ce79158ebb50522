"""The lower ends of the ranges in the requirements: `python tests --lowest [pytest's arguments]`.

`.venv-extras/lowest` lies over `.venv` (see `tests.extras.environments`) and holds the oldest version that
every range allows wherever that is another one; what they need in turn stays as it is. The tests in `PARTS`
run there: fast ones over what computes, and trainings. Other arguments replace them. Standard library only.
"""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dashboard import environment
from tests.extras import environments

FILE = "lowest.txt"
PARTS = (
    "tests/analysis",
    "tests/data",
    "tests/evaluation",
    "tests/dashboard/test_charts.py",
    "tests/dashboard/test_gallery.py",
    "tests/prediction/test_faces.py",
    "tests/prediction/test_photo.py",
    "tests/runs/test_queue.py",
    "tests/test_augmentation.py",
    "tests/test_cli.py",
    "tests/test_names.py",
    "tests/training/test_fit.py",
    "--ignore=tests/analysis/test_outliers.py",  # these three train and draw for minutes, with nothing else
    "--ignore=tests/data/test_demo.py",
    "--ignore=tests/data/test_outside.py",
)


def pins(files: Sequence[str], root: Path = environment.ROOT) -> Iterator[str]:
    """`name==oldest` for every range in the requirement files, those they include left out."""
    for file in files:
        for line in (root / file).read_text(encoding="utf-8").splitlines():
            found = re.match(r"([A-Za-z0-9._-]+)(\[[\w,]+\])?(?:>=|==)([0-9][0-9A-Za-z.]*)", line)
            if found:
                yield f"{found[1]}{found[2] or ''}=={found[3]}"


def run(main_python: Path, for_pytest: Sequence[str]) -> int:
    """Make the environment and run the tests there; 0 if all passed."""
    started = time.monotonic()
    files = (environment.BASE, environment.SERVE, environment.TEST)
    environments.FOLDER.mkdir(exist_ok=True)
    wanted = "".join(f"{pin}\n" for pin in pins(files))
    target = environments.FOLDER / FILE
    if not target.exists() or target.read_text(encoding="utf-8") != wanted:
        target.write_text(wanted, encoding="utf-8")
    try:
        python = environments.prepare("lowest", (FILE,), main_python, environments.FOLDER)
    except environment.SetupError as error:
        print(f"FAILED: no test was run. {error}", flush=True)
        return 1
    print(f"The environment was ready after {time.monotonic() - started:.0f} s.", flush=True)
    status = subprocess.call([str(python), "-m", "pytest", *(for_pytest or PARTS)], cwd=environment.ROOT)
    print(f"The lower ends took {time.monotonic() - started:.0f} s.", flush=True)
    return status
