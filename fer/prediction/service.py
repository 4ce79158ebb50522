"""`python -m fer serve`: predictions over HTTP for other programs, on this machine unless asked otherwise.

    curl --data-binary @me.jpg http://127.0.0.1:8765/predict

A photo is the raw body of the request, not a form: form parsers write large uploads to temporary files, and
photos must stay in memory. The optional package FastAPI is needed (`requirements-serve.txt`).
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.prediction import photo as photos
from fer.prediction.predictor import MOST_PASSES, FacePrediction, Options, Predictor, describe

PORT = 8765
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
AT_ONCE = 2  # photos decoded at the same time: each may take hundreds of megabytes
Probabilities = dict[str, float]


class FaceAnswer(BaseModel):
    """One face: `box` is x, y, width, height in pixels of the upright photo."""

    box: tuple[int, int, int, int]
    score: float
    emotion: str
    confidence: float
    sure: bool
    probabilities: dict[str, Probabilities]
    ensemble: Probabilities
    spread: dict[str, Probabilities]


class PhotoAnswer(BaseModel):
    """Every face of a photo, the largest first; `message` says how many, or what to do when there is none."""

    faces: list[FaceAnswer]
    message: str


class ModelAnswer(BaseModel):
    """A model this server predicts with."""

    id: str
    name: str
    temperature: float


class Health(BaseModel):
    status: str
    models: int
    emotions: list[str]


class Problem(BaseModel):
    """One sentence that says what is wrong and what to do."""

    detail: str


class _Refused(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def create_app(runs: Sequence[Any], hosts: Sequence[str] = LOOPBACK) -> FastAPI:
    """The application, with the networks of `runs` loaded.

    Args:
        runs: as `Predictor` takes them.
        hosts: names under which the server may be addressed; `["*"]` for any.
    """
    predictor = Predictor(runs)
    single = {network.id: Predictor([network]) for network in predictor.networks}
    places = asyncio.Semaphore(AT_ONCE)
    app = FastAPIOffline(  # FastAPI whose /docs loads nothing from elsewhere
        redoc_url=None,
        title="Facial expression recognition",
        description="Seven probabilities for each face in a photo. Expressions are not feelings; "
        "do not use this for decisions about people.",
        version="1",
        license_info={"name": "Apache-2.0"},
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.exception_handler(_Refused)
    async def refused(request: Request, error: _Refused) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=error.status)

    @app.get("/health", summary="Whether the server answers")
    def health() -> Health:
        return Health(status="ok", models=len(predictor.runs), emotions=list(EMOTIONS))

    @app.get("/models", summary="The models that predict")
    def models() -> list[ModelAnswer]:
        return [ModelAnswer(id=n.id, name=n.name, temperature=n.temperature) for n in predictor.networks]

    @app.post(
        "/predict",
        summary="The faces in a photo and their expressions",
        description=f"The body is the file itself: {photos.FORMAT_NAMES}, at most "
        f"{photos.MAX_BYTES // 10**6} MB and {photos.MAX_PIXELS // 10**6} megapixels. A squarish picture of "
        "at most 100 pixels is taken as a face already cut out. The content type is not looked at.",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
        responses={
            404: {"model": Problem, "description": "No such model"},
            413: {"model": Problem, "description": "The file is too large"},
            415: {"model": Problem, "description": "Not a photo that can be decoded"},
        },
    )
    async def predict(
        request: Request,
        model: Annotated[str | None, Query(description="Only this model; else all and their mean")] = None,
        views: Annotated[bool, Query(description="Average over ten shifted and mirrored crops")] = False,
        dropout_passes: Annotated[int, Query(ge=0, le=MOST_PASSES)] = 0,
        unsure_below: Annotated[float, Query(ge=0, le=1)] = 0.4,
    ) -> PhotoAnswer:
        if model is not None and model not in single:
            raise _Refused(404, str(UnknownName("model", model, list(single))))
        passes = 2 if dropout_passes == 1 else dropout_passes  # one pass has no spread
        options = Options(views, passes, unsure_below)
        chosen = predictor if model is None else single[model]
        content = await _body(request)
        async with places:
            try:
                found = await run_in_threadpool(chosen.predict, content, options)
            except photos.TooSmall as error:  # a photo all the same, with nobody in it
                return PhotoAnswer(faces=[], message=str(error))
            except UserError as error:
                raise _Refused(415, str(error)) from error
        return PhotoAnswer(faces=[_answer(face) for face in found], message=describe(found))

    return app


def serve(runs: Sequence[Any], host: str = "127.0.0.1", port: int = PORT) -> None:
    """Answer until interrupted; other hosts than this machine only if `host` says so."""
    import uvicorn

    hosts = LOOPBACK if host in LOOPBACK else ["*"]
    uvicorn.run(create_app(runs, hosts), host=host, port=port, log_level="warning")


async def _body(request: Request) -> bytes:
    """The body, refused as soon as it is known to be longer than a photo may be."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > photos.MAX_BYTES:
            limit = photos.MAX_BYTES // 10**6
            raise _Refused(413, f"The photo has more than {limit} MB; send a smaller copy.")
        parts.append(part)
    return b"".join(parts)


def _answer(face: FacePrediction) -> FaceAnswer:
    return FaceAnswer(
        box=face.box,
        score=face.score,
        emotion=face.emotion,
        confidence=face.confidence,
        sure=face.sure,
        probabilities={run: dict(values) for run, values in face.probabilities.items()},
        ensemble=dict(face.ensemble),
        spread={run: dict(values) for run, values in face.spread.items()},
    )
