"""The photo of the Predict page with a box around each face, to be moved, resized, drawn and removed."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import streamlit as st

from dashboard import panels
from fer.errors import UserError
from fer.prediction import Face, face_from_box
from fer.prediction.faces import MAX_FACES, frame

FOLDER = Path(__file__).parent / "components"
LONGEST = 1000  # pixels of the copy that the browser shows


@cache
def _component() -> Any:
    html, css, js = ((FOLDER / f"boxes.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("face_boxes", html=html, css=css, js=js)


def adjusted(photo: np.ndarray, found: Sequence[Face]) -> list[Face]:
    """The photo with the squares the models see; the faces, as found or as the user changed them.

    Args:
        photo: (H, W, 3) uint8 RGB.
        found: by the detector; one that was not touched stays as it is, turned level by its eyes.
    """
    token = hashlib.blake2b(photo.tobytes(), digest_size=8).hexdigest()
    key = f"boxes-{token}"
    edited = (st.session_state.get(key) or {}).get("boxes")
    data = {
        "token": token,
        "width": photo.shape[1],
        "height": photo.shape[0],
        "image": _as_url(photo),
        "boxes": [_square(face, number) for number, face in enumerate(found)],
        "edited": edited,
    }
    result = _component()(key=key, data=data, default={"boxes": None}, on_boxes_change=lambda: None)
    return list(found) if result.boxes is None else _faces(photo, found, result.boxes)


def _faces(photo: np.ndarray, found: Sequence[Face], boxes: Any) -> list[Face]:
    """Faces of the boxes a browser sent; what cannot be used is said and left out."""
    faces = []
    for box in list(boxes)[:MAX_FACES] if isinstance(boxes, list) else []:
        try:
            source = box.get("source")
            if isinstance(source, int) and 0 <= source < len(found):
                faces.append(found[source])
            else:
                x, y, width, height = (float(box[name]) for name in ("x", "y", "width", "height"))
                faces.append(face_from_box(photo, (x, y, width, height)))
        except UserError as error:
            st.warning(panels.plain(error))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            continue  # not from our page
    return faces


def _square(face: Face, number: int) -> dict[str, Any]:
    """What `crop_face` cuts out, as the browser draws it; `source` says which face it is."""
    if face.framed:
        x, y, width, height = map(float, face.box)
        return {"x": x, "y": y, "width": width, "height": height, "tilt": 0.0, "source": number}
    x, y, side, tilt = frame(face)
    corner = {"x": x - side / 2, "y": y - side / 2, "width": side, "height": side}
    return corner | {"tilt": tilt, "source": number}


def _as_url(photo: np.ndarray) -> str:
    """A small JPEG of the photo as a data URL: it goes to this browser and is kept nowhere."""
    scale = min(1.0, LONGEST / max(photo.shape[:2]))
    small = photo if scale == 1 else cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()
