"""Faces as a responsive grid: one HTML fragment with every picture inside, no request per face.

Streamlit has no image gallery and many `st.image` calls are slow; one fragment of 100 faces is one
element. Every text is escaped and the pictures are data URIs made here, so names stay inert.
"""

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np

TONES = {"good": "#2b8a3e", "bad": "#e03131", "": "transparent"}


def png_data_uri(image: np.ndarray) -> str:
    """(H, W) or (H, W, 3) RGB uint8 as a `data:image/png` address."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))[1]
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def gallery_html(
    images: Sequence[np.ndarray] | np.ndarray,
    captions: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    tones: Sequence[str] | None = None,
    size: int = 84,
    columns: int | None = None,
) -> str:
    """A grid of faces that fills the width it is given.

    Args:
        images: N pictures, (H, W) or (H, W, 3) uint8.
        captions: N short texts below the faces; line breaks are kept.
        titles: N texts shown when hovering, also the alternative text.
        tones: N of `good`, `bad` or '': a green, red or no border.
        size: least width of a face in pixels.
        columns: this many faces a row instead, as wide as fits.
    """
    tracks = f"repeat({columns},1fr)" if columns else f"repeat(auto-fill,minmax({size}px,1fr))"
    cells = []
    for n, image in enumerate(images):
        title = html.escape(titles[n] if titles else captions[n] if captions else "face", quote=True)
        caption = f"<figcaption>{html.escape(captions[n])}</figcaption>" if captions else ""
        border = TONES[tones[n]] if tones else "transparent"
        cells.append(
            f'<figure title="{title}"><img alt="{title}" src="{png_data_uri(image)}" '
            f'style="border-color:{border}">{caption}</figure>'
        )
    return (
        "<style>.faces{display:grid;gap:8px}"
        ".faces figure{margin:0}.faces img{width:100%;display:block;border-radius:4px;border:3px solid}"
        ".faces figcaption{font-size:.75rem;line-height:1.25;white-space:pre-line;text-align:center;"
        "opacity:.85;overflow-wrap:anywhere}</style>"
        f'<div class="faces" style="grid-template-columns:{tracks}">'
        f"{''.join(cells)}</div>"
    )
