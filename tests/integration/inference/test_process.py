"""The server as a process: how it starts, how it is told to stop, how it fails."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.integration.inference.talk import JSON, LINES, PATIENCE_S, wait_for


def long_body(series_of: Any, body_of: Any, n_items: int = 60) -> bytes:
    """Seconds of work for the baseline: the longest horizon, many paths."""
    return bytes(body_of([series_of(f"S{k}", n_bars=512, horizon=1024) for k in range(n_items)], n_paths=200))


def test_the_port_file_holds_the_free_port_once_requests_are_taken(start: Any) -> None:
    process, url = start()

    assert httpx.get(f"{url}/readyz").json()["status"] == "ready"
    assert process.stdout is not None
    assert url in process.stdout.readline()


def test_sigterm_lets_admitted_work_finish_refuses_new_work_and_exits_with_0(
    start: Any, series_of: Any, body_of: Any
) -> None:
    process, url = start()
    small = body_of([series_of("SPY")])
    lines: list[dict[str, Any]] = []
    refused = None
    with httpx.stream(
        "POST", f"{url}/predict", content=long_body(series_of, body_of), headers=LINES, timeout=PATIENCE_S
    ) as answer:
        for line in answer.iter_lines():
            lines.append(orjson.loads(line))
            if refused is None:
                process.send_signal(signal.SIGTERM)
                while httpx.get(f"{url}/readyz").status_code == 200:
                    pass
                refused = httpx.post(f"{url}/predict", content=small, headers=LINES)

    assert refused is not None
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    assert lines[-1] == {"type": "end", "n_ok": 60, "n_failed": 0}
    assert process.wait(PATIENCE_S) == 0


def test_a_second_sigterm_stops_the_work_at_its_next_step(start: Any, series_of: Any, body_of: Any) -> None:
    process, url = start()
    lines: list[dict[str, Any]] = []
    with httpx.stream(
        "POST", f"{url}/predict", content=long_body(series_of, body_of), headers=LINES, timeout=PATIENCE_S
    ) as answer:
        for line in answer.iter_lines():
            if not lines:
                process.send_signal(signal.SIGTERM)
                while httpx.get(f"{url}/readyz").status_code == 200:
                    pass
                process.send_signal(signal.SIGTERM)
            lines.append(orjson.loads(line))

    assert lines[-1]["reason"] == "draining"
    assert 0 < lines[-1]["n_ok"] < 60
    assert process.wait(PATIENCE_S) == 0


def test_a_second_sigterm_ends_a_model_that_never_asks_whether_to_stop(
    start: Any, series_of: Any, body_of: Any, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    process, url = start(module="tests.odd_server", INFERENCE_DRAIN_S="600", ODD_HOLD=str(hold))
    body = body_of([series_of("A")], model_name="deaf")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{url}/predict", content=body, headers=LINES, timeout=PATIENCE_S)
        wait_for(lambda: bool(httpx.get(f"{url}/readyz").json()["busy"]))
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 503)
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE_S) == 0
        assert answer.exception() is not None  # cut, without an end
    assert hold.exists()


def test_hundreds_of_silent_connections_keep_nobody_out(start: Any, series_of: Any, body_of: Any) -> None:
    few_files = ("sh", "-c", 'ulimit -Sn 100; exec "$0" "$@"')
    _, url = start(before=few_files)
    address = httpx.URL(url)
    with contextlib.ExitStack() as silent:
        for _ in range(300):
            silent.enter_context(socket.create_connection((address.host, address.port or 80), PATIENCE_S))

        answer = httpx.post(f"{url}/predict", content=body_of([series_of("SPY")]), headers=JSON, timeout=PATIENCE_S)

        assert answer.json()["n_ok"] == 1


# -- a lost device -----------------------------------------------------------------------------------


def test_a_lost_device_makes_the_server_unready_within_the_request_and_ends_it_with_70(
    start: Any, series_of: Any, body_of: Any
) -> None:
    process, url = start(module="tests.odd_server")
    lines: list[dict[str, Any]] = []
    body = body_of([series_of(symbol) for symbol in ("A", "LOST", "B")], model_name="lost")
    with httpx.stream("POST", f"{url}/predict", content=body, headers=LINES, timeout=PATIENCE_S) as answer:
        for line in answer.iter_lines():
            lines.append(orjson.loads(line))
            if lines[-1]["type"] == "end":
                with contextlib.suppress(httpx.TransportError):  # or it is gone already
                    ready = httpx.get(f"{url}/readyz")
                    assert ready.status_code == 503
                    assert "the device failed (illegal memory access)" in ready.json()["detail"]

    assert [line.get("symbol") for line in lines] == ["A", None]
    assert {name: lines[-1][name] for name in ("type", "n_ok", "n_failed", "reason")} == {
        "type": "end",
        "n_ok": 1,
        "n_failed": 0,
        "reason": "device",
    }
    assert process.wait(PATIENCE_S) == 70
    _, err = process.communicate()
    assert "the supervisor starts another" in err.splitlines()[-1]


def test_a_document_of_which_nothing_was_done_when_the_device_was_lost_is_503(
    start: Any, series_of: Any, body_of: Any
) -> None:
    process, url = start(module="tests.odd_server")

    answer = httpx.post(f"{url}/predict", content=body_of([series_of("LOST")], "lost"), headers=JSON)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "s3cret" not in answer.text
    assert process.wait(PATIENCE_S) == 70


def test_a_device_that_is_lost_at_the_first_trial_ends_the_process_before_it_serves(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    ended = run("--port", "0", "--port-file", str(port_file), module="tests.odd_server", ODD_LOST="CANARY")

    assert ended.returncode == 70
    assert not port_file.exists()
    assert "the device failed (illegal memory access)" in ended.stderr


def test_a_model_that_does_not_work_is_named_as_soon_as_the_server_is_ready(start: Any) -> None:
    _, url = start(module="tests.odd_server")

    state = httpx.get(f"{url}/readyz").json()

    assert [one.partition("@")[0] for one in state["models"]] == ["baseline-rw", "slow", "deaf", "lost"]
    assert set(state["failed"]) == {"broken"}
    assert "ValueError" in state["failed"]["broken"]


# -- how it fails to start ---------------------------------------------------------------------------


def run(*arguments: str, module: str = "inference_server", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_folder_that_lacks_files_gives_one_sentence_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "config.json").write_text("{}")

    ended = run("--port", "0", "--kronos-weights", str(tmp_path))

    assert ended.returncode == 1
    (sentence,) = ended.stderr.splitlines()
    assert "lacks tokenizer/model.safetensors, model/config.json, model/model.safetensors" in sentence


def test_weights_that_are_neither_a_folder_nor_a_hub_id_give_one_sentence() -> None:
    ended = run("--port", "0", "--kronos-weights", "./nowhere/at/all")

    assert ended.returncode == 1
    assert "there is no folder ./nowhere/at/all" in ended.stderr


def test_a_taken_port_gives_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run("--port", str(taken.getsockname()[1]))

    assert ended.returncode == 1
    (sentence,) = ended.stderr.splitlines()
    assert "cannot listen on 127.0.0.1" in sentence


def test_listening_beyond_this_machine_without_a_key_is_refused() -> None:
    ended = run("--host", "0.0.0.0", "--port", "0", INFERENCE_TOKEN="")

    assert ended.returncode == 78
    assert "set INFERENCE_TOKEN" in ended.stderr


def test_a_setting_that_is_no_number_names_itself() -> None:
    ended = run("--port", "0", INFERENCE_QUEUE_DEPTH="many")

    assert ended.returncode == 78
    assert "INFERENCE_QUEUE_DEPTH is 'many'" in ended.stderr


def test_an_option_passes_the_same_checks_as_its_variable() -> None:
    ended = run("--port", "70000")

    assert ended.returncode == 78
    assert "INFERENCE_PORT is '70000', but it has to be a whole number from 0 to 65535" in ended.stderr


def test_a_server_without_weights_never_imports_torch() -> None:
    code = "import inference_server.__main__, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_key_shows_up_neither_in_the_log_nor_in_the_settings(start: Any, series_of: Any, body_of: Any) -> None:
    key = "canary-7c1f"
    process, url = start("--log-level", "DEBUG", INFERENCE_TOKEN=key)
    headers = {"content-type": "application/json", "x-api-key": key}
    assert httpx.post(f"{url}/predict", content=body_of([series_of("SPY")]), headers=headers).status_code == 200
    assert httpx.post(f"{url}/predict", content=b"{", headers=headers).status_code == 400
    process.terminate()

    out, err = process.communicate(timeout=PATIENCE_S)

    assert key not in out + err
