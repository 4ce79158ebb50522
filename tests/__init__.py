"""Run them all with `python tests`."""
