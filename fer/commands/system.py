"""Commands about the installation itself."""

import argparse
from typing import Any

from fer.commands.base import Command, Progress, argument, as_document
from fer.errors import UserError


def doctor(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.doctor import clean, examine

    if options.dry_run and not options.clean:
        raise UserError("--dry-run belongs to --clean: python -m fer doctor --clean --dry-run.")
    found = examine()
    if options.clean:
        found |= {"cleaned": clean(options.dry_run), "dry_run": options.dry_run}
    return found


def engine(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from fer.runs import launchers

    if options.engine is None:
        return launchers.chosen()
    return launchers.choose(options.engine, options.address or "", options.shared)


def _doctor_text(found: dict[str, Any]) -> str:
    cache = found["cache"]
    lines = [
        f"Python {found['python']}, TensorFlow {found['tensorflow']}, Keras {found['keras']}, "
        f"Streamlit {found['streamlit']}",
        "Devices: " + ", ".join(f"{device['name']} ({device['title']})" for device in found["devices"]),
        f"Cache: {cache['path']}, {cache['bytes'] / 1e6:,.0f} MB, {cache['free_bytes'] / 1e9:,.1f} GB free, "
        f"budget {cache['budget_bytes'] / 1e9:,.1f} GB",
        *(f"  data set {name}: {size / 1e6:,.1f} MB" for name, size in cache["datasets"].items()),
        *(f"  run {run}: {size / 1e6:,.1f} MB" for run, size in cache["runs"].items()),
    ]
    lines += [f"- {p['what']} {p['remedy']} {p['path']}".rstrip() for p in found["problems"]]
    lines += [] if found["problems"] else ["No problem found."]
    cleanable = sum(problem["cleanable"] for problem in found["problems"])
    if cleanable and "cleaned" not in found:
        lines.append(f"{cleanable} can be removed: see with --clean --dry-run what, then --clean.")
    verb = "would remove" if found.get("dry_run") else "removed"
    return "\n".join(lines + [f"{verb}: {path}" for path in found.get("cleaned", ())])


COMMANDS: tuple[Command, ...] = (
    Command(
        "engine",
        "where new trainings run: this computer (local) or a Ray cluster",
        engine,
        as_document,
        (
            argument("engine", nargs="?", choices=("local", "ray"), help="leave out to see what is chosen"),
            argument("--address", metavar="URL", help="the cluster's Jobs server, http://127.0.0.1:8265"),
            argument("--shared", action="store_true", help="every node sees the cache under the same path"),
        ),
    ),
    Command(
        "doctor",
        "versions, devices, disk use, leftovers",
        doctor,
        _doctor_text,
        (
            argument("--clean", action="store_true", help="remove leftovers"),
            argument("--dry-run", action="store_true", help="with --clean: only say what would go"),
        ),
    ),
)
