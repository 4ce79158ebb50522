"""The connection of the live camera: a WebSocket beside Streamlit's, frames in, faces out.

The browser sends a JSON message with its settings and then one JPEG at a time; each is answered before the
next is taken, and forgotten. `dashboard.sharing` guards this route like every other: other pages' requests
are refused, and from elsewhere it takes the password.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from fer.errors import UserError
from fer.prediction.live import LiveFaces

PATH = "/live/faces"
AT_ONCE = 2  # frames predicted at the same time, of all cameras together
MOST_RUNS = 8
SILENCE = 60.0  # seconds without a frame after which the connection ends

_places = asyncio.Semaphore(AT_ONCE)


async def faces(websocket: WebSocket) -> None:
    """Answer one camera until it ends."""
    await websocket.accept()
    live: LiveFaces | None = None
    try:
        while True:
            message = await asyncio.wait_for(websocket.receive(), SILENCE)
            if message["type"] == "websocket.disconnect":
                return
            try:
                if message.get("text") is not None:
                    live = await run_in_threadpool(_configured, message["text"], live)
                    answer: dict[str, Any] = {"ready": True}
                elif live is None:
                    raise UserError("Settings come first: a JSON message with `runs`.")
                else:
                    answer = await _answer(live, message["bytes"])
            except UserError as error:
                answer = {"error": str(error)}
            await websocket.send_json(answer)
    except TimeoutError:
        await websocket.close(1000)
    except WebSocketDisconnect:
        return


async def _answer(live: LiveFaces, content: bytes) -> dict[str, Any]:
    async with _places:
        started = time.perf_counter()
        found = await run_in_threadpool(live.frame, content)
        return {"faces": found, "milliseconds": 1000 * (time.perf_counter() - started)}


def _configured(text: str, live: LiveFaces | None) -> LiveFaces:
    """A camera's predictions with these settings; `{"runs": [ids], "smoothing": s, "unsure_below": p}`."""
    try:
        settings = json.loads(text)
        names = [str(name) for name in settings["runs"]][:MOST_RUNS]
        smoothing, unsure = float(settings.get("smoothing", 0.5)), float(settings.get("unsure_below", 0.4))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError("The settings are a JSON object with `runs`, a list of run ids.") from error
    predictor = _predictor(names)
    if live is None or live.predictor is not predictor:
        return LiveFaces(predictor, smoothing, unsure)
    live.configure(smoothing, unsure)
    return live


def _predictor(names: list[str]) -> Any:
    from dashboard import cached
    from fer.runs import open_run

    directories = tuple(Path(open_run(name).directory) for name in names)
    missing = [folder.name for folder in directories if not (folder / "best.keras").exists()]
    if missing or not directories:
        raise UserError(f"The run {missing[0]} has no trained network yet." if missing else "Choose a model.")
    return cached.predictor(directories)


ROUTE = WebSocketRoute(PATH, faces)
