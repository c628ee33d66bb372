"""The page of measurements, bench/RESULTS.md: every benchmark replaces its own section and leaves the others alone."""

import os
import platform
import re
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("RESULTS.md")
TITLE: Final = "# Measurements\n\nWritten by the programs in this folder; run `make bench` to repeat them.\n"


def replace_section(title: str, body: str, page: Path = PAGE) -> None:
    """Put `body` (markdown) under the heading `## title` of the page, in place of what stood there.

    Sections keep their order; a new one goes to the end. The page is replaced as a whole, never half written.
    """
    old = page.read_text(encoding="utf-8") if page.exists() else TITLE
    head, *sections = re.split(r"^## ", old, flags=re.MULTILINE)
    section = f"{title}\n\n{body.strip()}\n\n"
    titles = [text.partition("\n")[0].strip() for text in sections]
    if title in titles:
        sections[titles.index(title)] = section
    else:
        sections.append(section)
    text = "".join([f"{head.strip()}\n\n", *(f"## {one.strip()}\n\n" for one in sections)])
    draft = page.with_name(f"{page.name}.{os.getpid()}")
    draft.write_text(text.rstrip() + "\n", encoding="utf-8")
    draft.replace(page)


def machine() -> str:
    """The machine in one line: processor, cores, system, Python."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), flags=re.MULTILINE)
        name = found[1].strip() if found else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
