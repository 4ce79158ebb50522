"""Every session-state key, which is also the query parameter where the widget is bound to the URL.

Bound widgets keep their choice across pages, reloads and shared links; a value in the URL that is not
among the options is ignored by Streamlit and removed.
"""

DATASET = "dataset"
RUN = "run"
RUNS = "runs"
SPLIT = "split"
SEED = "seed"
IMAGE = "image"
EMOTION = "class"
METHOD = "method"
TARGET = "target"
LAYER = "layer"
RECIPE = "recipe"
NORMALISED = "normalised"
STATES = "states"
SEARCH = "search"
SMOOTHING = "smoothing"
WATCHED = "watched"
SPLITS_SHOWN = "splits"
PRESET = "preset"
PRESET_SHOWN = "preset shown"
SAMPLE = "sample"
SCORED = "scored"
