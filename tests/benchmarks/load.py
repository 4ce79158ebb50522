"""A class at work: real WebSocket sessions on Explore, Runs and Compare, timed from outside.

    python -m tests.benchmarks.load --cache cache --scene 10       with a trainer beside them: p95 ≤ 1.5 s
    python -m tests.benchmarks.load --cache cache --scene 20       with a trainer beside them: p95 ≤ 4 s
    python -m tests.benchmarks.load --cache cache --scene 40       without: p95 ≤ 8 s
    python -m tests.benchmarks.load --cache cache --soak 20        20 minutes with reconnects and uploads
    python -m tests.benchmarks.load --cache cache --sessions 3 --seconds 20          any other number

The cache (FER-2013 imported, evaluated runs) is copied first, by hard links where it can. Every session
speaks Streamlit's own protocol: it opens a view of a page, checks that it is the one asked for, fetches the
pictures, answers `run_every` as a browser does, thinks for `--think` seconds and opens the next. A figure is
the time from a click to the end of the script. In the soak a session loses its connection now and then and
comes back, replaces an upload by another, and ends after some minutes for a new one. Ends with status 1 when
a limit was missed or a page failed.
"""

import argparse
import asyncio
import itertools
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from tests.browser import driver

SCENES = {  # sessions: (with a trainer, seconds at the 95th percentile)
    10: (True, 1.5),
    20: (True, 4.0),
    40: (False, 8.0),
}
GROWTH = 150.0  # MB from the time that every view was seen to the end
CREEP = 2.0  # MB a minute in the second half of a soak: what counts as flat
WARM = 60.0  # seconds until every view was seen
UPLOAD = 5_000_000  # bytes; a photo
STAY = 48  # visits until a tab of the soak is closed: about four minutes
LOSE = 12  # visits until it loses its connection
SEND = 6  # visits until it uploads a photo in place of the last one
EXPLORE = {  # view of the Explore page: what it must say
    "Classes": b"Balanced class weights",
    "Samples": b"Faces per expression",
    "Pixels": b"Statistics of pixels divided by 255",
    "Mean faces": b"The average training face",
    "Quality": b"Lowest brightness",
}
COMPARE = {  # the same of Compare
    "Scores": b"Are they different?",
    "Per class": b"How evenly",
    "Confusion": b"The faces of one cell",
    "Errors": b"Right answers: ",
    "Calibration": b"Reliability diagram",
    "Curves": b"by epoch",
}
MEDIA = re.compile(rb"/media/[0-9a-f]{20,}\.(?:png|jpg|jpeg|webp|gif)")
ERROR = 1  # Alert.ERROR
REFRESH = "a refresh"
FRAGMENT_END = 3  # ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY


@dataclass
class Measured:
    """What all sessions of a scene saw: seconds of each click by page and view, and what went wrong."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    bytes: int = 0
    uploads: int = 0
    tabs: int = 0
    reconnects: int = 0

    def of(self, page: str = "") -> list[float]:
        """The figures of a page, of all by default."""
        return [value for (of, _), values in self.seconds.items() if page in ("", of) for value in values]


class Session:
    """One browser tab."""

    def __init__(self, url: str, cookie: str, measured: Measured):
        self.url, self.cookie, self.measured = url, cookie, measured
        self.port = urlsplit(url).port
        self.id = ""
        self.uploaded = ""
        self.last: tuple[str, dict[str, str | list[str]]] = ("home", {})  # page and query
        self.refreshing: dict[str, float] = {}  # fragment: next time
        self.intervals: dict[str, float] = {}

    async def __aenter__(self) -> "Session":
        await self._connect()
        self.measured.tabs += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.socket.close()

    async def _connect(self) -> None:
        """As a browser does: with the id of the session there was before, if there was one."""
        known = [self.cookie.partition("=")[2] or "PLACEHOLDER", self.id] if self.id else []
        self.socket: ClientConnection = await connect(
            f"ws://localhost:{self.port}/_stcore/stream",
            subprotocols=["streamlit", *known],  # type: ignore[list-item]
            origin=f"http://localhost:{self.port}",  # type: ignore[arg-type]
            additional_headers={"Cookie": self.cookie},
            max_size=None,
            open_timeout=60,
        )

    async def reconnect(self) -> None:
        """Lose the connection without a word and come back as the same session."""
        self.socket.transport.abort()
        await self._connect()
        before = self.id
        page, query = self.last
        await self.open(page, **query)  # type: ignore[arg-type]
        if self.id != before:
            self.measured.errors.append("the session was not the same after a lost connection")
        self.measured.reconnects += 1

    async def open(self, page: str, says: bytes = b"", **query: str | list[str]) -> float:
        """Go to a page, which has to say something; seconds until its script has ended."""
        self.intervals.clear()
        self.refreshing.clear()
        self.last = (page, query)
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = urlencode(query, doseq=True)
        began = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        content = await self._until_finished(page)
        seconds = time.perf_counter() - began
        if says not in content:
            self.measured.errors.append(f"{page}: {query} did not show {says.decode()!r}")
        await asyncio.to_thread(self._fetch, set(MEDIA.findall(content)))
        return seconds

    async def _until_finished(self, page: str) -> bytes:
        """Everything that was sent from the start of the script to its end; what came before is dropped."""
        received, began, kinds = b"", False, []
        ends = (ForwardMsg.FINISHED_SUCCESSFULLY, *([FRAGMENT_END] if page == REFRESH else []))
        while True:
            try:
                content = await asyncio.wait_for(self.socket.recv(), 120)
            except TimeoutError:
                raise TimeoutError(f"{page} did not end within 120 s; last came {kinds[-5:]}") from None
            assert isinstance(content, bytes)
            self.measured.bytes += len(content)
            received += content
            message = ForwardMsg.FromString(content)
            kind = message.WhichOneof("type")
            kinds.append(f"{kind} {message.script_finished}" if kind == "script_finished" else kind)
            if kind == "new_session":
                self.id = message.new_session.initialize.session_id or self.id
                received, began = content, True
            elif kind == "auto_rerun":
                self.intervals[message.auto_rerun.fragment_id] = message.auto_rerun.interval
                self.refreshing[message.auto_rerun.fragment_id] = (
                    time.monotonic() + message.auto_rerun.interval
                )
            elif kind == "delta":
                self._look(page, message)
            elif kind == "page_not_found":
                self.measured.errors.append(f"{page}: page not found")
            elif kind == "script_finished" and began:
                if message.script_finished in ends:
                    return received
                if message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                    self.measured.errors.append(f"{page}: the script does not compile")
                    return received

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
                await self._until_finished(REFRESH)
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
        replaced, self.uploaded = self.uploaded, received.file_urls_response.file_urls[0].upload_url
        start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="photo.png"\r\n\r\n'
        await asyncio.to_thread(self._ask, "PUT", self.uploaded, start + content + b"\r\n--x--\r\n")
        if replaced:  # the widget of one file deletes the one before
            await asyncio.to_thread(self._ask, "DELETE", replaced, None)
        self.measured.uploads += 1

    def _ask(self, method: str, address: str, body: bytes | None) -> None:
        headers = {"Cookie": self.cookie, "X-Xsrftoken": self.cookie.partition("=")[2]}
        headers |= {"Content-Type": "multipart/form-data; boundary=x"} if body else {}
        request = urllib.request.Request(f"{self.url}/{address.lstrip('/')}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            if answer.status not in (200, 204):
                self.measured.errors.append(f"{method} of an upload answered with {answer.status}")


def clicks(number: int, runs: dict[str, str], rng: random.Random) -> Iterator[tuple[str, str, dict]]:
    """(page, view, arguments of `Session.open`) for ever: Explore, Runs and Compare in turn.

    Addresses hold the names of `runs` (`{id: name}`).
    """
    for visit in itertools.count(number):
        page = ("explore", "runs", "compare")[visit % 3]
        if page == "explore":
            view = rng.choice(list(EXPLORE))
            yield page, view, {"says": EXPLORE[view], "look": view}
        elif page == "runs":
            shown = rng.choice(list(runs))
            yield page, "", {"says": b"csv-files-", "run": runs[shown]}
        else:
            view = rng.choice(list(COMPARE))
            chosen = rng.sample(list(runs.values()), min(len(runs), rng.randint(2, 4)))
            yield page, view, {"says": COMPARE[view], "view": view, "runs": chosen}


async def student(
    number: int,
    url: str,
    cookie: str,
    measured: Measured,
    options: argparse.Namespace,
    runs: dict[str, str],
    end: float,
):
    """Click and think; in the soak also replace uploads, lose the connection and open new tabs."""
    rng = random.Random(number)
    wanted = clicks(number, runs, rng)
    await asyncio.sleep(rng.uniform(0, options.think))
    while time.monotonic() < end:
        async with Session(url, cookie, measured) as session:
            for visit in range(rng.randrange(STAY // 2, 2 * STAY) if options.soak else 10**9):
                page, view, arguments = next(wanted)
                seconds = await session.open(page, **arguments)
                measured.seconds.setdefault((page, view), []).append(seconds)
                if options.soak and visit % SEND == SEND - 1:
                    await session.upload(rng.randbytes(UPLOAD))
                if options.soak and visit % LOSE == LOSE - 1:
                    await session.reconnect()
                await session.think(rng.uniform(0.5, 1.5) * options.think)
                if time.monotonic() >= end:
                    break


async def watch(process: psutil.Process, samples: list[tuple[float, float]]) -> None:
    """Memory of the server in MB, every second."""
    began = time.monotonic()
    while True:
        with suppress(psutil.Error):
            samples.append((time.monotonic() - began, process.memory_info().rss / 1e6))
        await asyncio.sleep(1)


async def scene(url: str, server: psutil.Process, sessions: int, seconds: float, options: argparse.Namespace):
    """(what the sessions saw, memory samples) of so many sessions for so long."""
    from fer.runs import list_runs

    # Requests that wait for the server hold a thread each: enough for all sessions.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(sessions + 8))
    runs = {run.id: run.name for run in list_runs() if (run.directory / "predictions.npz").exists()}
    if len(runs) < 2:
        raise SystemExit("The cache needs two evaluated runs; train them with python -m fer train.")
    cookie = await asyncio.to_thread(xsrf_cookie, url)
    measured, samples = Measured(), []
    watching = asyncio.create_task(watch(server, samples))
    end = time.monotonic() + seconds
    students = [student(n, url, cookie, measured, options, runs, end) for n in range(sessions)]
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


def tell(title: str, measured: Measured, limit: float | None) -> int:
    """Print the seconds of a scene; 1 when the limit was missed or anything went wrong."""
    if not measured.of():
        print(f"{title}: no page was ever finished. {measured.errors[:3]}")
        return 1
    for page in ("explore", "runs", "compare", ""):
        values = measured.of(page)
        if values:
            print(
                f"{title:24} {page or 'all':8} {len(values):5} clicks  "
                f"median {statistics.median(values):6.2f} s  "
                f"p95 {np.percentile(values, 95):6.2f} s  slowest {max(values):6.2f} s"
            )
    slowest = sorted(measured.seconds, key=lambda key: -statistics.median(measured.seconds[key]))[:3]
    told = [
        f"{page} {view} {statistics.median(measured.seconds[page, view]):.2f} s" for page, view in slowest
    ]
    missed = limit is not None and np.percentile(measured.of(), 95) > limit
    print(
        f"{title:24} slowest views (median): {', '.join(told)}; {measured.bytes / 1e6:,.0f} MB sent, "
        f"{measured.tabs} tabs, {measured.reconnects} lost connections, {measured.uploads} uploads, "
        f"{len(measured.errors)} errors"
        + (f"; limit {limit:g} s: {'MISSED' if missed else 'ok'}" if limit else "")
    )
    for text in dict.fromkeys(measured.errors[:20]):
        print(f"    {text}")
    return int(missed or bool(measured.errors))


def tell_memory(title: str, samples: list[tuple[float, float]], soak: bool) -> int:
    """Print what the server's memory did; 1 when it grew too much, or in a soak too steadily."""
    seconds, megabytes = np.array(samples).T
    start = megabytes[np.searchsorted(seconds, min(WARM, seconds[-1]))]
    half = seconds >= seconds[-1] / 2
    creep = 60 * np.polyfit(seconds[half], megabytes[half], 1)[0] if half.sum() > 1 else 0.0
    quarters = [float(part.mean()) for part in np.array_split(megabytes, 4)]
    missed = megabytes[-1] - start > GROWTH or (soak and creep > CREEP)
    print(
        f"{title:24} server memory {start:.0f} MB after {min(WARM, seconds[-1]):.0f} s, "
        f"{megabytes[-1]:.0f} MB at the end ({megabytes[-1] - start:+.0f}), most {megabytes.max():.0f}; "
        f"mean of each quarter {' '.join(f'{mean:.0f}' for mean in quarters)}; "
        f"second half {creep:+.1f} MB a minute; limits "
        f"{GROWTH:.0f} MB{f', {CREEP:g} MB a minute' if soak else ''}: {'MISSED' if missed else 'ok'}"
    )
    return int(missed)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="a cache with data sets and evaluated runs")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--scene", type=int, choices=SCENES, help="so many sessions, judged by their limit")
    wanted.add_argument("--soak", type=float, metavar="MINUTES", help="10 sessions for so long")
    wanted.add_argument("--sessions", type=int, help="so many sessions, without a limit")
    parser.add_argument("--trainer", action="store_true", help="with --sessions or --soak: train beside them")
    parser.add_argument("--seconds", type=float, default=180, help="of a scene")
    parser.add_argument("--think", type=float, default=4, help="mean seconds between two clicks of a session")
    options = parser.parse_args()
    sessions = options.scene or options.sessions or 10
    trainer, limit = SCENES[options.scene] if options.scene else (options.trainer, None)
    seconds = options.soak * 60 if options.soak else options.seconds
    with tempfile.TemporaryDirectory(prefix="fer-load-", dir=options.cache.resolve().parent) as scratch:
        cache = Path(scratch) / "cache"
        shutil.copytree(
            options.cache, cache, copy_function=_link, ignore=shutil.ignore_patterns(".staging-*")
        )
        os.environ["FER_CACHE"] = str(cache)
        with training(trainer), driver.serving(cache, Path(scratch) / "server.log") as url:
            server = server_process(urlsplit(url).port or 0)
            measured, samples = asyncio.run(scene(url, server, sessions, seconds, options))
        title = f"{sessions} sessions" + (" + a trainer" if trainer else "")
        missed = tell(title, measured, limit) + tell_memory(title, samples, bool(options.soak))
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
