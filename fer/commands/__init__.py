"""The commands of `python -m fer`: each turns parsed arguments into one call of the library.

A command is a `Command` in `COMMANDS`: name, help, arguments, `run(options, progress)` → plain data, and
`text(result)` → what a person reads. Heavy imports stay inside the functions.
"""

from fer.commands import data, generation, results, system, training
from fer.commands.base import Command

COMMANDS: tuple[Command, ...] = (
    *data.COMMANDS,
    *training.COMMANDS,
    *results.COMMANDS,
    *generation.COMMANDS,
    *system.COMMANDS,
)

__all__ = ["COMMANDS", "Command"]
