"""The exact set of packages the checks ran with, and the licences they come under.

    .venv/bin/python -m tests.lock --write      requirements.lock: what is installed here of what is needed
    .venv/bin/python -m tests.lock              what each needed package is licensed under

Only what `python tests` installs is listed, not whatever else lies in the environment.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fer.storage import PROJECT

LOCK = PROJECT / "requirements.lock"
HEADER = """\
# The exact set of packages that all checks passed with (Linux, x86-64, Python {python}).
# Made by: .venv/bin/python -m tests.lock --write
# Used by: python -m pip install -r requirements.lock
# Known weaknesses: pipx run pip-audit -r requirements.lock --no-deps --disable-pip --strict
"""


def wanted() -> Iterator[Requirement]:
    """What `python tests` installs: the app, its HTTP interface, and what tests them."""
    for file in ("requirements-test.txt", "requirements-serve.txt"):
        yield from required_by(file)


def required_by(file: str) -> Iterator[Requirement]:
    """The requirements of a file and of those it includes."""
    for line in (PROJECT / file).read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if text.startswith("-r "):
            yield from required_by(text[3:].strip())
        elif text:
            try:
                yield Requirement(text)
            except InvalidRequirement:
                continue


def closure(roots: Iterator[Requirement]) -> dict[str, metadata.Distribution]:
    """`{name: distribution}` of everything installed that the roots need, extras included."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(canonicalize_name(root.name), frozenset(root.extras)) for root in roots]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for text in found[name].requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in (*extras, "")
            ):
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return found


def locked() -> dict[str, str]:
    """`{name: version}` in `requirements.lock`."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return dict(pairs)


def licence(distribution: metadata.Distribution) -> str:
    """What a package says it is licensed under: expression, else classifiers, else the first line."""
    about = distribution.metadata
    expression = about.get("License-Expression")
    classified = [
        c.rsplit(" :: ", 1)[-1] for c in about.get_all("Classifier") or () if c.startswith("License")
    ]
    text = (about.get("License") or "").strip().splitlines()
    known = [name for name in classified if name != "OSI Approved"]
    return re.sub(r"\s+", " ", expression or "; ".join(known) or (text[0] if text else "") or "unknown")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="replace requirements.lock")
    options = parser.parse_args()
    packages = sorted(closure(wanted()).items())
    if options.write:
        version = ".".join(map(str, sys.version_info[:2]))
        lines = [f"{name}=={distribution.version}\n" for name, distribution in packages]
        Path(LOCK).write_text(HEADER.format(python=version) + "".join(lines), encoding="utf-8")
    else:
        for name, distribution in packages:
            print(f"{name:32} {distribution.version:16} {licence(distribution)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
