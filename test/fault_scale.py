# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The fault suite in two sizes: short within `make test`, long and with figures by
`make test-faults`, which writes a line for each into out/fault_suite.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

FIGURES = os.environ.get("T2G_FAULT_FIGURES", "")  # the file; empty: the short form
Size = TypeVar("Size")


def size(long: Size, short: Size) -> Size:
    """How much of it is done."""
    return long if FIGURES else short


def note(what: str, figure: str) -> None:
    """Add a line to the table of the long form."""
    print(f"{what}: {figure}")
    if FIGURES:
        with Path(FIGURES).open("a") as file:
            file.write(f"| {what} | {figure} |\n")


def status_of(pid: int, key: str) -> int:
    """A number of /proc/PID/status: `VmRSS` [kB], `Threads`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise KeyError(key)


def open_files(pid: int) -> int:
    """File descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
