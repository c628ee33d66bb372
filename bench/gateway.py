"""How fast the gateway answers a cached forecast, beside other ways to send the same bytes.

`python -m bench.gateway [--seconds 2] [--rounds 7] [--dry]`: one worker each, loaded in turn by wrk with 64
connections where it is installed, else by a client of ours; rounds alternate, medians are reported. The server's CPU
time per request is the measure to trust on a busy machine: it does not count what others take.
"""

import argparse
import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil

from bench.results import machine, replace_section
from candlecast.store import migrate, tables
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine

CONNECTIONS = 64
HORIZON = 120
ADDRESS = "/showcase/ml-prediction/BTCUSDT?interval=1h"

# The same gateway with uvicorn's own protocol: what answering below ASGI is worth.
BY_ASGI = "import sys; from gateway import __main__ as m; m.protocol = lambda: 'auto'; sys.exit(m.main(sys.argv[1:]))"
HEAD = "head"  # no header, but the method of a load
GATEWAY = "gateway, cached forecast"


@dataclass(frozen=True)
class Measured:
    """One load on one server."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server, per request
    n_errors: int


def fill(server: EmbeddedPostgres) -> None:
    """One instrument with an hourly forecast of 120 steps."""
    issued_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    steps = range(1, HORIZON + 1)
    engine = create_engine(server.url(), application_name="bench")
    with engine.begin() as conn:
        conn.execute(
            tables.instruments.insert(),
            {
                "symbol": "BTCUSDT", "name": "Bitcoin", "asset_class": "crypto", "calendar": "24/7",
                "provider": "bench", "provider_symbol": "BTCUSDT", "quote_asset": "USDT", "forecast": True,
            },
        )  # fmt: skip
        conn.execute(
            tables.ml_predictions.insert(),
            {
                "prediction_id": uuid.uuid4(), "symbol": "BTCUSDT", "interval": "1h", "model_name": "baseline-rw",
                "model_version": "0" * 64, "issued_at": issued_at, "horizon": HORIZON,
                "target_at": [issued_at + timedelta(hours=step) for step in steps], "last_close": 61234.56,
                "scale": 0.0051, "p10": [61234.56 * (1 - 0.0065 * step**0.5) for step in steps],
                "p50": [61234.56 for _ in steps], "p90": [61234.56 * (1 + 0.0066 * step**0.5) for step in steps],
                "fan": [61234.56 for _ in steps for _ in range(11)], "seed": 1, "n_paths": 1000,
                "lookback_start": issued_at - timedelta(hours=392), "lookback_end": issued_at, "data_hash": b"0" * 32,
                "event_context": {}, "synthetic": False, "status": "on_time",
            },
        )  # fmt: skip
    engine.dispose()


@contextmanager
def process(command: list[str], env: dict[str, str], port: Callable[[], int | None]) -> Iterator[tuple[int, int]]:
    """A server; its (port, pid) once it answers."""
    server = subprocess.Popen(command, env={**os.environ, **env}, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and server.poll() is None:
            number = port()
            if number is not None:
                try:
                    httpx.get(f"http://127.0.0.1:{number}{ADDRESS}", timeout=5.0).raise_for_status()
                    break
                except httpx.HTTPError:
                    pass
            time.sleep(0.1)
        else:
            raise SystemExit(f"the server did not start: {' '.join(command)}")
        yield number, server.pid
    finally:
        server.terminate()
        server.wait(30)


def rival(name: str, body: Path) -> tuple[list[str], dict[str, str], Callable[[], int | None]]:
    """How to start one of `bench.gateway_rivals`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", f"bench.gateway_rivals:{name}", "--port", str(port)]
    return (
        [*command, "--no-access-log", "--no-proxy-headers", "--log-level", "error"],
        {"BENCH_BODY": str(body)},
        lambda: port,
    )


def load(port: int, pid: int, seconds: float, headers: dict[str, str]) -> Measured:
    """Load one server."""
    server = psutil.Process(pid)
    before = sum(server.cpu_times()[:2])
    if shutil.which("wrk") and HEAD not in headers:  # wrk waits for the body of a HEAD
        n, per_second, p50, p99, n_errors = _wrk(port, seconds, headers)
    else:
        n, per_second, p50, p99, n_errors = asyncio.run(_python(port, seconds, headers))
    cpu_s = sum(server.cpu_times()[:2]) - before
    return Measured(per_second, p50, p99, 1e6 * cpu_s / max(1, n), n_errors)


def _wrk(port: int, seconds: float, headers: dict[str, str]) -> tuple[int, float, float, float, int]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{ADDRESS}"], capture_output=True, text=True, check=True
    ).stdout

    def ms(share: str) -> float:
        found = re.search(rf"{share}%\s+([\d.]+)(us|ms|s)", text)
        assert found, text
        return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]

    n, rate = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert n, text
    assert rate, text
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    n_errors = int(failed[1]) if failed else 0
    n_errors += sum(int(count) for count in broken.groups()) if broken else 0
    return int(n[1]), float(rate[1]), ms("50"), ms("99"), n_errors


async def _python(port: int, seconds: float, headers: dict[str, str]) -> tuple[int, float, float, float, int]:
    """A plain client: `CONNECTIONS` sockets, one request at a time each. It takes more CPU than wrk: lower rates."""
    method = "HEAD" if HEAD in headers else "GET"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != HEAD)
    request = f"{method} {ADDRESS} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()
    times: list[float] = []
    n_errors = 0
    end = time.perf_counter() + seconds

    async def reader() -> None:
        nonlocal n_errors
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < end:
            sink.write(request)
            head = await source.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if method == "GET" and found and b" 304 " not in head[:20]:
                await source.readexactly(int(found[1]))
            n_errors += head[9:10] not in b"23"
            times.append(1e3 * (time.perf_counter() - started))
        sink.close()

    await asyncio.gather(*(reader() for _ in range(CONNECTIONS)))
    cuts = statistics.quantiles(times, n=100)
    return len(times), len(times) / seconds, cuts[49], cuts[98], n_errors


def main() -> None:
    """Measure, print, and unless --dry put the section into bench/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="candlecast-bench-")))
        home.chmod(0o755)
        server = EmbeddedPostgres(home / "postgres").ensure()
        stack.callback(server.stop)
        migrate.upgrade(server.url())
        fill(server)
        port_file, body = home / "port", home / "body.json"
        env = {"DATABASE_URL": server.url(role="reader"), "LOG_LEVEL": "ERROR", "GATEWAY_RATE": "1000000000/minute"}
        places = {}
        for name, start in (("gateway", ["-m", "gateway"]), ("by_asgi", ["-c", BY_ASGI])):
            port_file.unlink(missing_ok=True)
            command = [sys.executable, *start, "--port", "0", "--port-file", str(port_file)]
            places[name] = stack.enter_context(
                process(command, env, lambda: int(port_file.read_text()) if port_file.exists() else None)
            )
        answer = httpx.get(f"http://127.0.0.1:{places['gateway'][0]}{ADDRESS}", headers={"accept-encoding": "identity"})
        body.write_bytes(answer.content)
        for name in ("bare_asgi", "bare_starlette", "fastapi_dict"):
            places[name] = stack.enter_context(process(*rival(name, body)))
        cases: dict[str, tuple[str, dict[str, str]]] = {
            GATEWAY: ("gateway", {}),
            "gateway, gzip": ("gateway", {"accept-encoding": "gzip"}),
            "gateway, 304": ("gateway", {"if-none-match": answer.headers["etag"]}),
            "gateway, HEAD": ("gateway", {HEAD: "yes"}),
            "gateway, by ASGI": ("by_asgi", {}),
            "bare ASGI callable, same bytes": ("bare_asgi", {}),
            "bare Starlette route, same bytes": ("bare_starlette", {}),
            "FastAPI route returning the dict": ("fastapi_dict", {}),
        }
        rounds: dict[str, list[Measured]] = {case: [] for case in cases}
        for _ in range(options.rounds):
            for case, (place, headers) in cases.items():
                rounds[case].append(load(*places[place], options.seconds, headers))
    table = report(rounds, len(answer.content), options)
    print(table)
    if not options.dry:
        replace_section("Gateway: a cached forecast", table)


def report(rounds: dict[str, list[Measured]], n_bytes: int, options: argparse.Namespace) -> str:
    """The section: medians over the rounds, and ratios to the gateway."""

    def median(case: str, figure: Callable[[Measured], float]) -> float:
        return statistics.median(figure(one) for one in rounds[case])

    def ratio(case: str, figure: Callable[[Measured], float]) -> float:
        """The gateway's figure over the case's, round by round: neighbours in time see the same machine."""
        pairs = zip(rounds[GATEWAY], rounds[case], strict=True)
        return statistics.median(figure(mine) / figure(other) for mine, other in pairs)

    lines = [
        f"One forecast of {HORIZON} steps, {n_bytes:,} bytes, {CONNECTIONS} connections, one worker each, loaded in "
        f"turn by {'wrk' if shutil.which('wrk') else 'a Python client'} for {options.seconds:.0f} s "
        f"× {options.rounds}; medians. {machine()}, "
        f"load average {os.getloadavg()[0]:.1f}.",
        "",
        "| | requests/s | p50 / p99 ms | server CPU µs/request | gateway's rate | its CPU per request |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for case in rounds:
        one_rate, one_cpu = median(case, lambda one: one.per_second), median(case, lambda one: one.cpu_us)
        lines.append(
            f"| {case} | {one_rate:,.0f} | {median(case, lambda one: one.p50_ms):.1f} / "
            f"{median(case, lambda one: one.p99_ms):.1f} | {one_cpu:.1f} | "
            f"{ratio(case, lambda one: one.per_second):.2f}× | {ratio(case, lambda one: one.cpu_us):.2f}× |"
        )
    n_errors = sum(one.n_errors for measured in rounds.values() for one in measured)
    lines += [
        "",
        f"Errors: {n_errors}. The gateway's answers include freshness to the second, ETag, Cache-Control, Age, "
        "CORS and security headers, three metrics and a rate limit; the others send content type and length only. HEAD "
        "is asked by a Python client, which is slower than the server: of it only the CPU time tells something.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
