"""Faces as a responsive grid: one HTML fragment with one sprite sheet, no request per face.

Streamlit has no image gallery and many `st.image` calls are slow. Here all faces of a grid are one PNG (or
two, where grey and coloured ones are mixed) and every cell shows its part of it. Every text is escaped and
the pictures are data URIs made here, so names stay inert.
"""

import base64
import hashlib
import html
from collections.abc import Sequence

import cv2
import numpy as np

TONES = {"good": "#2b8a3e", "bad": "#e03131", "": "transparent"}
COLUMNS = 16  # of a sheet


def png(image: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) RGB uint8 as a PNG."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def png_data_uri(image: np.ndarray) -> str:
    """(H, W) or (H, W, 3) RGB uint8 as a `data:image/png` address."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def sheet(images: Sequence[np.ndarray] | np.ndarray, columns: int = COLUMNS) -> np.ndarray:
    """N pictures of one shape, (H, W) or (H, W, 3), side by side: (rows·H, columns·W[, 3]) uint8."""
    cells = np.asarray(images)
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    filled = np.zeros((rows * columns, *cells.shape[1:]), dtype=np.uint8)
    filled[: len(cells)] = cells
    height, width = cells.shape[1:3]
    grid = filled.reshape(rows, columns, height, width, -1).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * height, columns * width, *cells.shape[3:])


def gallery_html(
    images: Sequence[np.ndarray] | np.ndarray,
    captions: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    tones: Sequence[str] | None = None,
    size: int = 84,
    columns: int | None = None,
    narrow: int | None = None,
) -> str:
    """A grid of faces that fills the width it is given.

    Args:
        images: N pictures, (H, W) or (H, W, 3) uint8.
        captions: N short texts below the faces; line breaks are kept.
        titles: N texts shown when hovering, also the alternative text.
        tones: N of `good`, `bad` or '': a green, red or no border.
        size: least width of a face in pixels.
        columns: this many faces a row instead, as wide as fits.
        narrow: and this many on a telephone.
    """
    tracks = f"repeat({columns},1fr)" if columns else f"repeat(auto-fill,minmax({size}px,1fr))"
    kind = f"faces-{columns}-{narrow}" if narrow else "faces-wide"
    phone = f"@media(max-width:640px){{.{kind}{{grid-template-columns:repeat({narrow},1fr)!important}}}}"
    styles, shown = _sprites(images)
    cells = []
    for n, face in enumerate(shown):
        title = html.escape(titles[n] if titles else captions[n] if captions else "face", quote=True)
        caption = f"<figcaption>{html.escape(captions[n])}</figcaption>" if captions else ""
        border = f";border-color:{TONES[tones[n]]}" if tones else ""
        cells.append(
            f'<figure title="{title}"><div role="img" aria-label="{title}" {face}{border}"></div>'
            f"{caption}</figure>"
        )
    return (
        "<style>.faces{display:grid;gap:8px}"
        ".faces figure{margin:0}.faces [role=img]{width:100%;border-radius:4px;border:3px solid transparent;"
        "background-repeat:no-repeat;background-origin:border-box;background-clip:border-box}"
        ".faces figcaption{font-size:.75rem;line-height:1.25;white-space:pre-line;text-align:center;"
        f"opacity:.85;overflow-wrap:anywhere}}{phone if narrow else ''}{styles}</style>"
        f'<div class="faces {kind}" style="grid-template-columns:{tracks}">'
        f"{''.join(cells)}</div>"
    )


def _sprites(images: Sequence[np.ndarray] | np.ndarray) -> tuple[str, list[str]]:
    """CSS rules that hold the sheets, and for each picture `class="…" style="…` (quote left open)."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for n, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(n)
    rules, cells = [], [""] * len(images)
    for shape, members in by_shape.items():
        columns = min(COLUMNS, len(members))
        rows = -(-len(members) // columns)
        picture = png(sheet([images[n] for n in members]))
        name = "s" + hashlib.blake2b(picture, digest_size=8).hexdigest()  # one rule for each sheet on a page
        address = base64.b64encode(picture).decode("ascii")
        rules.append(
            f".faces .{name}{{background-image:url(data:image/png;base64,{address});"
            f"background-size:{100 * columns}% {100 * rows}%;aspect-ratio:{shape[1]}/{shape[0]}}}"
        )
        for place, n in enumerate(members):
            row, column = divmod(place, columns)
            across, down = column / max(columns - 1, 1), row / max(rows - 1, 1)
            cells[n] = f'class="{name}" style="background-position:{100 * across:.5g}% {100 * down:.5g}%'
    return "".join(rules), cells
