"""How good a run is, and whether two runs differ: predictions, metrics, calibration, comparison, report."""
