"""Predictions a second over HTTP, each a single 48 × 48 crop as PNG; the client shares the cores.

    python -m tests.benchmarks.serve [--model RUN] [--requests 300]

Starts `python -m fer serve` on a free port with the starter, or the best run of FER_CACHE. The aim is at
least 30 a second on 2 cores, on one connection; with several at once the server may do better. `library` is
the same work in this process without HTTP: the ratio says what HTTP costs.
"""

import argparse
import http.client
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
from PIL import Image

from fer.data.demo import draw_face
from fer.runs import open_run
from tests.browser.driver import free_port


def crops() -> list[bytes]:
    files = []
    for label in range(7):
        buffer = BytesIO()
        Image.fromarray(draw_face(label, (label, 5))[0]).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def ask(connection: http.client.HTTPConnection, content: bytes) -> None:
    connection.request("POST", "/predict", content)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"status {answer.status}: {body[:200]!r}")


def rate(port: int, files: list[bytes], count: int, connections: int) -> float:
    def client(share: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(share):
            ask(connection, files[number % len(files)])
        connection.close()

    with ThreadPoolExecutor(connections) as pool:
        started = time.perf_counter()
        list(pool.map(client, [count // connections] * connections))
    return count // connections * connections / (time.perf_counter() - started)


def library(model: str, files: list[bytes], count: int) -> float:
    from fer.prediction import Predictor

    predictor = Predictor([open_run(model)])
    predictor.predict(files[0])
    started = time.perf_counter()
    for number in range(count):
        predictor.predict(files[number % len(files)])
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="starter")
    parser.add_argument("--requests", type=int, default=300)
    options = parser.parse_args()
    files, port = crops(), free_port()
    command = [sys.executable, "-m", "fer", "serve", "--model", options.model, "--port", str(port)]
    server = subprocess.Popen(command)
    try:
        while True:
            try:
                rate(port, files, 20, 1)  # until it answers, and warm
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("the server ended") from None
                time.sleep(0.3)
        found = {n: np.median([rate(port, files, options.requests, n) for _ in range(3)]) for n in (1, 2, 4)}
    finally:
        server.terminate()
        server.wait()
    alone = library(options.model, files, options.requests)
    for connections, value in found.items():
        print(f"{connections} connection(s): {value:6.1f} predictions/s, {value / alone:.2f} × library")
    print(f"library, one thread: {alone:6.1f} predictions/s")


if __name__ == "__main__":
    main()
