"""Why a network answers as it does: class activation maps, saliency, feature and attention maps."""
