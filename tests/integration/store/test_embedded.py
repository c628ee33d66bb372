"""The embedded server under everything that happens to a server: kills, reboots, crowds, odd places."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from candlecast.store import postgres_binaries
from candlecast.store.embedded import EmbeddedPostgres, processes_in

FAST = {"fsync": "off"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for whom another user runs the server")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter; whatever servers live below it are ended afterwards."""
    path = Path(tempfile.mkdtemp(prefix="candlecast-place-"))
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    for state in path.rglob("server.json"):
        place = json.loads(state.read_text())["place"]
        EmbeddedPostgres(state.parent).stop()
        if place is not None:
            shutil.rmtree(place)
    shutil.rmtree(path)


def connect(server: EmbeddedPostgres, dbname: str = "candlecast") -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(server.url(dbname, "owner").replace("+psycopg", ""), autocommit=True)


def remember(server: EmbeddedPostgres, word: str) -> None:
    with connect(server) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        conn.execute("INSERT INTO words VALUES (%s)", (word,))


def remembered(server: EmbeddedPostgres) -> list[object]:
    with connect(server) as conn:
        return [row[0] for row in conn.execute("SELECT word FROM words ORDER BY word")]


def postmaster(server: EmbeddedPostgres) -> int:
    return int((data_of(server) / "postmaster.pid").read_text().split()[0])


def data_of(server: EmbeddedPostgres) -> Path:
    state = json.loads((server.home / "server.json").read_text())
    return Path(state["place"] or server.home) / "data"


def port_of(server: EmbeddedPostgres) -> int:
    return int(json.loads((server.home / "server.json").read_text())["port"])


def test_rows_and_port_survive_a_restart(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg", settings=FAST).ensure()
    remember(server, "kept")
    port = port_of(server)

    server.stop()
    assert not server.running()
    server.ensure()

    assert remembered(server) == ["kept"]
    assert port_of(server) == port


def test_four_processes_that_ask_at_once_share_one_server(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from candlecast.store.embedded import EmbeddedPostgres; "
        "print(EmbeddedPostgres(Path(sys.argv[1])).ensure().url())"
    )
    command = [sys.executable, "-c", program, str(folder / "pg")]
    crowd = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    urls = {process.communicate(timeout=120)[0].strip() for process in crowd}

    assert [process.returncode for process in crowd] == [0, 0, 0, 0]
    assert len(urls) == 1
    with psycopg.connect(urls.pop().replace("+psycopg", "")) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_it_comes_back_with_its_rows_after_the_postmaster_is_killed(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg").ensure()
    for round_ in range(3):
        remember(server, f"round {round_}")
        os.kill(postmaster(server), signal.SIGKILL)
        server.ensure()

    assert remembered(server) == ["round 0", "round 1", "round 2"]


def test_a_backend_that_outlives_its_killed_postmaster_is_ended_before_the_next_start(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg", settings=FAST).ensure()
    busy = connect(server)
    orphan = busy.info.backend_pid
    # The server's own loop never looks up from this, so the death of the postmaster passes it by.
    busy.pgconn.send_query(b"DO $$ BEGIN LOOP NULL; END LOOP; END $$")
    time.sleep(0.2)
    os.kill(postmaster(server), signal.SIGKILL)
    time.sleep(0.5)
    assert psutil.pid_exists(orphan), "the busy backend was meant to survive"

    server.ensure()

    assert orphan not in processes_in(data_of(server))
    remember(server, "safe")
    busy.close()


def test_a_pid_file_that_names_a_stranger_after_a_reboot_is_no_obstacle(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg", settings=FAST).ensure()
    remember(server, "kept")
    lines = (data_of(server) / "postmaster.pid").read_text().splitlines()
    os.kill(postmaster(server), signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "60"])
    time.sleep(0.3)
    (data_of(server) / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

    server.ensure()

    assert remembered(server) == ["kept"]
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_another_port_is_taken_when_somebody_else_holds_ours(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg", settings=FAST).ensure()
    remember(server, "kept")
    server.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port_of(server)))
        squatter.listen()
        taken = port_of(server)

        server.ensure()

        assert port_of(server) != taken
        assert remembered(server) == ["kept"]


def test_two_homes_are_two_servers(folder: Path) -> None:
    one, other = EmbeddedPostgres(folder / "one", settings=FAST), EmbeddedPostgres(folder / "other", settings=FAST)
    remember(one.ensure(), "one")
    remember(other.ensure(), "other")

    assert remembered(one) == ["one"]
    assert remembered(other) == ["other"]


def test_a_copied_home_is_never_served_by_the_server_of_the_original(folder: Path) -> None:
    original = EmbeddedPostgres(folder / "original", settings=FAST).ensure()
    remember(original, "original")
    original.stop()
    shutil.copytree(folder / "original", folder / "copy", symlinks=True)
    if os.geteuid() == 0:
        owner = data_of(original).stat()
        for path in (folder / "copy" / "data", *(folder / "copy" / "data").rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    original.ensure()

    copy = EmbeddedPostgres(folder / "copy", settings=FAST).ensure()
    remember(copy, "copy")

    assert remembered(original) == ["original"]
    assert remembered(copy) == ["copy", "original"]


def test_a_first_start_that_was_killed_midway_is_started_over(folder: Path) -> None:
    home = folder / "pg"
    server = EmbeddedPostgres(home, settings=FAST).ensure()
    server.stop()
    data_of(server).rename(home / "data.new")  # as after a kill between initdb and its rename
    state = json.loads((home / "server.json").read_text())
    (home / "server.json").write_text(json.dumps({**state, "prepared": False}))

    server.ensure()

    remember(server, "new")
    assert remembered(server) == ["new"]


def test_a_path_too_long_for_a_socket_is_no_problem(folder: Path) -> None:
    server = EmbeddedPostgres(folder / ("d" * 100) / ("e" * 100), settings=FAST).ensure()

    remember(server, "deep")
    assert remembered(server) == ["deep"]


def test_no_login_works_without_its_password(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=port_of(postgres), user="postgres", dbname="postgres", password="guess")


def test_secrets_are_readable_by_their_owner_alone(postgres: EmbeddedPostgres) -> None:
    assert (postgres.home / "server.json").stat().st_mode & 0o077 == 0


@as_root
def test_below_a_closed_folder_the_data_go_where_the_server_can_reach_them(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "pg", settings=FAST).ensure()
    remember(server, "kept")
    server.stop()
    again = EmbeddedPostgres(closed / "pg", settings=FAST).ensure()

    assert remembered(again) == ["kept"]
    assert not data_of(again).is_relative_to(closed)
    assert closed.stat().st_mode & 0o777 == 0o700, "nobody's folders are opened"


@as_root
def test_programs_below_a_closed_folder_are_run_from_a_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = postgres_binaries.packaged_programs(None)
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    package = packaged.parents[1]
    for part in (packaged.parent, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.relative_to(package.parent), symlinks=True)
    there = closed / packaged.relative_to(package.parent)
    monkeypatch.setattr(postgres_binaries, "packaged_programs", lambda major: there)
    monkeypatch.setattr(postgres_binaries, "REACHABLE", (folder / "reachable",))

    server = EmbeddedPostgres(folder / "pg", settings=FAST).ensure()

    remember(server, "kept")
    assert [path.name.split("-")[0] for path in (folder / "reachable").iterdir()] == ["postgres"]
    server.stop()


def test_without_the_package_the_message_names_both_ways_out(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(postgres_binaries.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(
        postgres_binaries.EmbeddedUnavailable, match=r"pip install 'candlecast\[embedded\]'.*DATABASE_URL"
    ):
        EmbeddedPostgres(folder / "pg").ensure()
