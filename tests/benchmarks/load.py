"""A class at work: real WebSocket sessions on Explore, Runs and Compare, timed from outside.

    python -m tests.benchmarks.load --cache cache                       10 + trainer, 20, 40 sessions
    python -m tests.benchmarks.load --cache cache --sessions 3 --seconds 20
    python -m tests.benchmarks.load --cache cache --soak 20             20 minutes with reconnects and uploads

The cache (FER-2013 imported, two evaluated runs) is copied first, by hard links where it can. Every session
speaks Streamlit's own protocol: it opens a page, waits for the end of the script, fetches the pictures it
was told of, answers `run_every` as a browser does, thinks for `--think` seconds and opens the next. A
figure is the time from a click to the end of the script. Ends with status 1 when a limit or a page failed.
"""

import argparse
import asyncio
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from tests.browser import driver

SCENES = (  # sessions, with a trainer, seconds at the 95th percentile
    (10, True, 1.5),
    (20, False, 4.0),
    (40, False, 8.0),
)
GROWTH = 150.0  # MB
UPLOAD = 5_000_000  # bytes; a photo
EXPLORE = ("Classes", "Samples", "Pixels", "Faces")
MEDIA = re.compile(rb"/media/[0-9a-f]{20,}\.\w{2,5}")
ERROR = 1  # Alert.ERROR


@dataclass
class Measured:
    """What all sessions of a scene saw: seconds of each click by page, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    bytes: int = 0
    uploads: int = 0
    reconnects: int = 0

    def all(self) -> list[float]:
        return [value for values in self.seconds.values() for value in values]


class Session:
    """One browser tab."""

    def __init__(self, url: str, cookie: str, measured: Measured):
        self.url, self.cookie, self.measured = url, cookie, measured
        self.port = urlsplit(url).port
        self.id = ""
        self.refreshing: dict[str, float] = {}  # fragment: next time
        self.intervals: dict[str, float] = {}

    async def __aenter__(self) -> "Session":
        self.socket: ClientConnection = await connect(
            f"ws://localhost:{self.port}/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            origin=f"http://localhost:{self.port}",  # type: ignore[arg-type]
            additional_headers={"Cookie": self.cookie},
            max_size=None,
            open_timeout=60,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.socket.close()

    async def open(self, page: str, **query: str) -> float:
        """Go to a page; seconds until its script has ended and its pictures are there."""
        self.intervals.clear()
        self.refreshing.clear()
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = urlencode(query)
        began = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        pictures = await self._until_finished(page)
        seconds = time.perf_counter() - began
        await asyncio.to_thread(self._fetch, pictures)
        return seconds

    async def _until_finished(self, page: str) -> set[bytes]:
        pictures: set[bytes] = set()
        while True:
            content = await asyncio.wait_for(self.socket.recv(), 120)
            assert isinstance(content, bytes)
            self.measured.bytes += len(content)
            pictures |= set(MEDIA.findall(content))
            message = ForwardMsg.FromString(content)
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.id = message.new_session.initialize.session_id or self.id
            elif kind == "auto_rerun":
                self.intervals[message.auto_rerun.fragment_id] = message.auto_rerun.interval
                self.refreshing[message.auto_rerun.fragment_id] = (
                    time.monotonic() + message.auto_rerun.interval
                )
            elif kind == "delta":
                self._look(page, message)
            elif kind == "page_not_found":
                self.measured.errors.append(f"{page}: page not found")
            elif kind == "script_finished":
                if message.script_finished in (ForwardMsg.FINISHED_SUCCESSFULLY, 3):
                    return pictures
                if message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                    self.measured.errors.append(f"{page}: the script does not compile")
                    return pictures

    def _look(self, page: str, message: ForwardMsg) -> None:
        element = message.delta.new_element
        if element.WhichOneof("type") == "exception":
            self.measured.errors.append(
                f"{page}: {element.exception.type}: {element.exception.message[:200]}"
            )
        elif element.WhichOneof("type") == "alert" and element.alert.format == ERROR:
            self.measured.errors.append(f"{page}: {element.alert.body[:200]}")

    def _fetch(self, pictures: set[bytes]) -> None:
        for path in pictures:
            with urllib.request.urlopen(self.url + path.decode(), timeout=60) as answer:
                self.measured.bytes += len(answer.read())

    async def think(self, seconds: float) -> None:
        """Wait, answering the page's own refreshes meanwhile as a browser does."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            due = [name for name, at in self.refreshing.items() if at <= now]
            for name in due:
                message = BackMsg()
                message.rerun_script.fragment_id = name
                message.rerun_script.is_auto_rerun = True
                await self.socket.send(message.SerializeToString())
                await self._until_finished("a refresh")
                self.refreshing[name] = time.monotonic() + self.intervals[name]
            await asyncio.sleep(min(0.1, max(end - time.monotonic(), 0)))

    async def upload(self, content: bytes) -> None:
        """Send a file as the upload widget does: ask for an address, then PUT with the token."""
        message = BackMsg()
        message.file_urls_request.request_id = "upload"
        message.file_urls_request.file_names.append("photo.png")
        message.file_urls_request.session_id = self.id
        await self.socket.send(message.SerializeToString())
        while True:
            received = ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), 60))  # type: ignore[arg-type]
            if received.WhichOneof("type") == "file_urls_response":
                break
        address = received.file_urls_response.file_urls[0].upload_url
        await asyncio.to_thread(self._put, address, content)
        self.measured.uploads += 1

    def _put(self, address: str, content: bytes) -> None:
        token = self.cookie.partition("=")[2]
        body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="photo.png"\r\n\r\n'
        headers = {
            "Cookie": self.cookie,
            "X-Xsrftoken": token,
            "Content-Type": "multipart/form-data; boundary=x",
        }
        request = urllib.request.Request(
            f"{self.url}/{address.lstrip('/')}", body + content + b"\r\n--x--\r\n", headers, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            if answer.status not in (200, 204):
                self.measured.errors.append(f"upload answered with {answer.status}")


async def student(
    number: int, url: str, cookie: str, measured: Measured, options: argparse.Namespace, end: float
):
    """Explore, Runs and Compare over and over, with think time; in the soak also uploads and new tabs."""
    rng = random.Random(number)
    await asyncio.sleep(rng.uniform(0, options.think))
    while time.monotonic() < end:
        async with Session(url, cookie, measured) as session:
            for visit in range(9 if options.soak else 10**9):
                page = ("explore", "runs", "compare")[(visit + number) % 3]
                query = (
                    {"look": rng.choice(EXPLORE), "seed": str(rng.randrange(1000))}
                    if page == "explore"
                    else {}
                )
                seconds = await session.open(page, **query)
                measured.seconds.setdefault(page, []).append(seconds)
                if options.soak and visit % 3 == 2:
                    await session.upload(rng.randbytes(UPLOAD))
                await session.think(rng.uniform(0.5, 1.5) * options.think)
                if time.monotonic() >= end:
                    break
        measured.reconnects += 1


async def watch(process: psutil.Process, samples: list[tuple[float, float]]) -> None:
    """Memory of the server in MB, every second."""
    while True:
        with suppress(psutil.Error):
            samples.append((time.monotonic(), process.memory_info().rss / 1e6))
        await asyncio.sleep(1)


async def scene(url: str, server: psutil.Process, sessions: int, seconds: float, options: argparse.Namespace):
    """(what the sessions saw, memory samples) of so many sessions for so long."""
    with urllib.request.urlopen(f"{url}/_stcore/health", timeout=30):
        pass
    cookie = await asyncio.to_thread(xsrf_cookie, url)
    measured, samples = Measured(), []
    watching = asyncio.create_task(watch(server, samples))
    end = time.monotonic() + seconds
    students = [student(n, url, cookie, measured, options, end) for n in range(sessions)]
    for failure in await asyncio.gather(*students, return_exceptions=True):
        if isinstance(failure, BaseException):
            measured.errors.append(f"session: {type(failure).__name__}: {failure}"[:200])
    watching.cancel()
    return measured, samples


def xsrf_cookie(url: str) -> str:
    """The cookie a browser is given with its first page."""
    with urllib.request.urlopen(f"{url}/_stcore/health", timeout=30) as answer:
        cookies = answer.headers.get_all("Set-Cookie") or []
    return next((c.split(";")[0] for c in cookies if c.startswith("_streamlit_xsrf=")), "_streamlit_xsrf=")


@contextmanager
def training(wanted: bool) -> Iterator[None]:
    """A real training beside them, as the Train page starts it."""
    if not wanted:
        yield
        return
    from fer.data.dataset import list_datasets
    from fer.recipes import recipe_config
    from fer.runs import create_run, remove, stop, submit

    dataset = max(list_datasets(), key=lambda info: info.images)
    run = create_run(recipe_config("baseline_cnn", dataset.fingerprint, epochs="500"), recipe="baseline_cnn")
    submit(run)
    try:
        deadline = time.monotonic() + 180
        while run.status().epoch < 1 and time.monotonic() < deadline:
            time.sleep(1)
        print(f"The trainer is in epoch {run.status().epoch + 1} ({run.status().state}).", flush=True)
        yield
    finally:
        stop(run)
        remove(run)


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100)[round(share) - 1] if len(values) > 1 else values[0]


def tell(title: str, measured: Measured, samples: list[tuple[float, float]], limit: float | None) -> int:
    """Print a scene; 1 when a limit was missed."""
    everything = measured.all()
    if not everything:
        print(f"{title}: no page was ever finished. {measured.errors[:3]}")
        return 1
    for page, values in [*sorted(measured.seconds.items()), ("all", everything)]:
        print(
            f"{title:28} {page:8} {len(values):5} clicks  median {statistics.median(values):6.2f} s  "
            f"p95 {percentile(values, 95):6.2f} s  slowest {max(values):6.2f} s"
        )
    missed = limit is not None and percentile(everything, 95) > limit
    start, end = samples[min(30, len(samples) - 1)][1], samples[-1][1]  # after every page was seen once
    half = samples[len(samples) // 2 :]
    minutes = max((half[-1][0] - half[0][0]) / 60, 1e-9)
    print(
        f"{title:28} memory {start:.0f} → {end:.0f} MB ({end - start:+.0f}), second half "
        f"{(half[-1][1] - half[0][1]) / minutes:+.1f} MB a minute; {measured.bytes / 1e6:,.0f} MB sent, "
        f"{measured.uploads} uploads, {measured.reconnects} sessions, {len(measured.errors)} errors"
        + (f"; limit {limit:g} s: {'MISSED' if missed else 'ok'}" if limit else "")
    )
    for text in dict.fromkeys(measured.errors[:20]):
        print(f"    {text}")
    return int(missed or end - start > GROWTH or bool(measured.errors))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="a cache with data sets and evaluated runs")
    parser.add_argument("--sessions", type=int, help="only so many, without a limit")
    parser.add_argument("--trainer", action="store_true", help="with --sessions or --soak: train beside them")
    parser.add_argument("--seconds", type=float, default=120, help="of each scene")
    parser.add_argument("--think", type=float, default=4, help="mean seconds between two clicks of a session")
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES", help="10 sessions for so long")
    options = parser.parse_args()
    scenes = SCENES
    if options.soak or options.sessions:
        scenes = ((options.sessions or 10, options.trainer, None),)  # type: ignore[assignment]
    missed = 0
    with tempfile.TemporaryDirectory(prefix="fer-load-", dir=options.cache.resolve().parent) as scratch:
        cache = Path(scratch) / "cache"
        shutil.copytree(
            options.cache, cache, copy_function=_link, ignore=shutil.ignore_patterns(".staging-*")
        )
        os.environ["FER_CACHE"] = str(cache)
        for sessions, trainer, limit in scenes:
            with training(trainer), driver.serving(cache, Path(scratch) / "server.log") as url:
                server = server_process(urlsplit(url).port or 0)
                seconds = options.soak * 60 or options.seconds
                measured, samples = asyncio.run(scene(url, server, sessions, seconds, options))
                title = f"{sessions} sessions" + (" + a trainer" if trainer else "")
                missed += tell(title, measured, samples, limit)
    return 1 if missed else 0


def server_process(port: int) -> psutil.Process:
    """Who listens on the port."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise RuntimeError(f"Nobody listens on port {port}")


def _link(source: str, target: str) -> None:
    """Hard links for what is only ever replaced; copies for the database, which is edited in place."""
    if "sqlite" not in source and not source.endswith((".log", ".csv", ".lock")):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


if __name__ == "__main__":
    sys.exit(main())
