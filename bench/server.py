"""What the inference server keeps doing while the device is at work, and what is left of ten thousand requests.

`python -m bench.server [--seconds 60] [--soak 10000] [--dry]`: /healthz and /metrics while a forecast computes for
`--seconds`, and refusals while the queue is full; then `--soak` good, bad, repeated, expired, refused and abandoned
requests, and the server's memory as they go by. 0 leaves either out.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from bench.results import machine, replace_section
from candlecast.baselines import RandomWalk
from candlecast.forecasts import ModelInfo, Result, Series, never
from candlecast.wire import JSON, NDJSON, PredictRequest, encode_request
from inference_server.__main__ import leave
from inference_server.__main__ import main as serve
from inference_server.canary import built_in_series
from inference_server.registry import Registry

HEADERS = {"content-type": JSON}
HORIZON = 120
PAUSE_S = 0.02  # between two questions about health
WARM = 0.2  # share of the soak before its memory is taken as the level
N_SAMPLES = 40


class Long(RandomWalk):
    """The baseline's numbers, computed over and over for `BENCH_SECONDS`: Python and numpy at full load."""

    info = ModelInfo("long", "0" * 64, None, False, "bitwise", "at work for a while", gives_quantiles=True)

    def forecast(
        self, series: Sequence[Series], *, cancel: Callable[[], bool] = never, horizon: int, **how: Any
    ) -> Iterator[Result]:
        trial = series[0].symbol == "CANARY"
        ends = time.monotonic() + (0 if trial else float(os.environ["BENCH_SECONDS"]))
        while time.monotonic() < ends and not cancel():
            list(super().forecast(series, horizon=horizon, **{**how, "n_paths": 1_000}))
        yield from super().forecast(series, horizon=horizon, **how)


@contextmanager
def server(seconds: float) -> Iterator[tuple[str, psutil.Process]]:
    """A server process with `Long`: its address, and the process."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        arguments = ["--port", "0", "--port-file", str(port_file), "--log-level", "ERROR"]
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.server", "--serve", *arguments],
            env={**os.environ, "BENCH_SECONDS": str(seconds), "INFERENCE_CANARY_S": "0", "INFERENCE_RESULTS_MB": "8"},
            stdout=subprocess.DEVNULL,
        )
        try:
            while not port_file.exists():
                if process.poll() is not None:
                    raise SystemExit("the server did not start")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{int(port_file.read_text())}", psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait()


def body(model_name: str, n_items: int = 1, *, n_paths: int = 100, base_seed: int = 0, n_bars: int = 96) -> bytes:
    """A request about the built-in series under several names."""
    series = built_in_series(RandomWalk.info)
    hours = series.opened_at[-1] + np.arange(1, HORIZON + 1) * np.timedelta64(3600, "s")
    cut = replace(series, ohlcv=series.ohlcv[-n_bars:], opened_at=series.opened_at[-n_bars:], target_opened_at=hours)
    items = [replace(cut, symbol=f"S{number}") for number in range(n_items)]
    return encode_request(PredictRequest(model_name, "1h", HORIZON, n_paths, base_seed, items))


# -- while the device is at work ---------------------------------------------------------------------


def at_work(seconds: float) -> str:
    """The table of how long questions took."""
    times: dict[str, list[float]] = {"/healthz": [], "/metrics": [], "429, queue full": []}
    asked = body("long", 23)

    def timed(name: str, question: Callable[[], httpx.Response], status: int) -> None:
        begun = time.perf_counter()
        answer = question()
        times[name].append(time.perf_counter() - begun)
        if answer.status_code != status:
            raise SystemExit(f"{name} answered {answer.status_code}: {answer.text[:200]}")

    def post(client: httpx.Client) -> httpx.Response:
        return client.post("/predict", content=asked, headers=HEADERS)

    with server(seconds) as (url, _), ThreadPoolExecutor(1) as pool, httpx.Client(base_url=url, timeout=600) as client:
        first = pool.submit(httpx.post, f"{url}/predict", content=asked, headers=HEADERS, timeout=600)
        while not client.get("/readyz").json()["busy"]:
            time.sleep(PAUSE_S)
        while not first.done():
            timed("/healthz", lambda: client.get("/healthz"), 200)
            timed("/metrics", lambda: client.get("/metrics"), 200)
            time.sleep(PAUSE_S)

    with (
        server(3_600) as (url, process),
        ThreadPoolExecutor(3) as pool,
        httpx.Client(base_url=url, timeout=600) as client,
    ):
        for _ in range(3):
            pool.submit(post, client)
        while client.get("/readyz").json()["waiting"] < 2:
            time.sleep(PAUSE_S)
        for _ in range(200):
            timed("429, queue full", lambda: post(client), 429)
        process.kill()  # nobody waits for the rest
    lines = [
        f"A forecast that computes for {seconds:.0f} s is at work; one connection asks. {machine()}, load average "
        f"{os.getloadavg()[0]:.1f}. Bars: /healthz p99 < 50 ms, 429 within 20 ms.",
        "",
        "| | questions | p50 ms | p99 ms | longest ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, taken in times.items():
        p50, p99 = (1e3 * float(np.quantile(taken, level)) for level in (0.5, 0.99))
        lines.append(f"| {name} | {len(taken):,} | {p50:.1f} | {p99:.1f} | {1e3 * max(taken):.1f} |")
    return "\n".join(lines)


# -- what is left of many requests -------------------------------------------------------------------


def soak(n: int) -> str:
    """The table of memory while `n` mixed requests go by."""
    outcomes: Counter[str] = Counter()
    good, bad = body("baseline-rw", 4), body("baseline-rw", 2, n_bars=5)
    with server(0.3) as (url, process):

        def hang_up(number: int) -> None:
            address = httpx.URL(url)
            head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {len(good)}\r\n\r\n"
            with socket.create_connection((address.host, address.port or 80)) as connection:
                connection.sendall(head.encode() + good[: len(good) // (1 + number % 2)])

        def one(client: httpx.Client, number: int) -> str:
            kind, headers, content = number % 10, dict(HEADERS), good
            match kind:
                case 0 | 1:
                    headers["accept"] = NDJSON
                case 2:
                    content = bad
                case 3:
                    content = good[: len(good) // 2]
                case 4:
                    headers["x-deadline-ms"] = str(number % 7)
                case 5:
                    headers["idempotency-key"] = f"mine-{number}"
                case 6:
                    headers["idempotency-key"] = f"ours-{number // 1000}"
                case 7:
                    hang_up(number)
                    return "hung up"
                case 8 if number % 500 == 8:
                    content, headers["x-deadline-ms"] = body("long"), "100"
                case 9:
                    content = body("baseline-rw", n_paths=1_000, base_seed=number)
            answer = client.post("/predict", content=content, headers=headers)
            if answer.status_code == 500:
                raise SystemExit(f"request {number} met a 500: {answer.text[:200]}")
            return str(answer.status_code)

        numbers, lock = iter(range(n)), threading.Lock()
        memory: list[tuple[int, float]] = []

        def work() -> None:
            with httpx.Client(base_url=url, timeout=120) as client:
                while True:
                    with lock:
                        number = next(numbers, None)
                        if number is not None and number % max(1, n // N_SAMPLES) == 0:
                            memory.append((number, process.memory_info().rss / 1e6))
                    if number is None:
                        return
                    said = one(client, number)
                    with lock:
                        outcomes[said] += 1

        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work) for _ in range(3)]:
                done.result()
        memory.append((n, process.memory_info().rss / 1e6))
        left = httpx.get(f"{url}/readyz").json()
    warm = [mb for number, mb in memory if WARM * n <= number <= (WARM + 0.2) * n]
    last = [mb for number, mb in memory if number >= 0.8 * n]
    level, end = statistics.median(warm), statistics.median(last)
    counts = ", ".join(f"{count:,} × {name}" for name, count in sorted(outcomes.items()))
    return "\n".join(
        [
            f"{n:,} requests from three connections: lines, documents, bad items, half a document, deadlines of a few "
            f"ms, keys of one's own and shared keys (8 MB of answers are kept, full after the warm-up), clients that "
            f"hang up. {machine()}.",
            "",
            f"Answers: {counts}. Busy afterwards: {'yes' if left['busy'] else 'no'}.",
            "",
            "| | RSS MB |",
            "|---|---:|",
            f"| at the start | {memory[0][1]:.1f} |",
            f"| median, requests {WARM * n:,.0f} to {(WARM + 0.2) * n:,.0f} | {level:.1f} |",
            f"| median, the last fifth | {end:.1f} |",
            f"| growth after warm-up | {100 * (end / level - 1):+.2f} % (bar: below 1 %) |",
        ]
    )


def main() -> None:
    """Measure and write the section."""
    if "--serve" in sys.argv:
        arguments = [one for one in sys.argv[1:] if one != "--serve"]
        leave(serve(arguments, os.environ, lambda _: Registry([RandomWalk(), Long()])))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--soak", type=int, default=10_000, metavar="N")
    parser.add_argument("--dry", action="store_true", help="print, and leave the page of results alone")
    options = parser.parse_args()
    sections = {}
    if options.seconds:
        sections["Inference server: answers while the device is at work"] = at_work(options.seconds)
    if options.soak:
        sections["Inference server: memory over many requests"] = soak(options.soak)
    for title, text in sections.items():
        print(text)
        if not options.dry:
            replace_section(title, text)


if __name__ == "__main__":
    main()
