"""Why a network answers as it does: class activation maps, saliency, feature and attention maps.

Importing this imports no TensorFlow; computing a map does.
"""

from fer.explanation.explain import (
    Explanation,
    default_layer,
    explain,
    explain_many,
    explainable_layers,
    prepare,
)
from fer.explanation.methods import METHODS, Method
from fer.explanation.render import area_shares, heat_shares, mean_map, overlay
from fer.explanation.runs import explain_run, mean_explanation
from fer.explanation.sanity import SanityCheck, sanity_check

__all__ = [
    "METHODS",
    "Explanation",
    "Method",
    "SanityCheck",
    "area_shares",
    "default_layer",
    "explain",
    "explain_many",
    "explain_run",
    "explainable_layers",
    "heat_shares",
    "mean_explanation",
    "mean_map",
    "overlay",
    "prepare",
    "sanity_check",
]
