"""Who holds a lease, written so that a process on the same machine can tell whether the holder still lives.

`HOST/PID/START`: HOST names the machine, its boot and the process namespace, START is the moment the
process began (clock ticks since boot), so a reused process number is not mistaken for the holder.
"""

import os
import socket
from pathlib import Path


def _host() -> str:
    """This machine since its last boot, seen from this process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    boot_id = boot.read_text().strip()[:8] if boot.exists() else ""
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}:{boot_id}:{namespace}"


def _started(pid: int) -> str | None:
    """When the process began; an empty string where the system does not say, None when it does not run."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name, field 2, may hold spaces and brackets; fields are counted from behind its last one.
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        is_zombie = fields[0] == "Z"
        return None if is_zombie else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def this_process() -> str:
    """The owner text of the running process."""
    return f"{_host()}/{os.getpid()}/{_started(os.getpid())}"


def is_gone(owner: str) -> bool | None:
    """Whether the holder has ended; None when it runs (or ran) on another machine and cannot be seen from here."""
    host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    if host != _host() or not pid.isdecimal():
        return None
    return _started(int(pid)) != started
