# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Make the ROS 2 wheels usable for a build in this virtual environment; safe to run again.

The wheels' CMake files name the folders of the machine they were built on. Replace those by the
include folders of the interpreter and of the NumPy that run this script.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILD_PREFIX = r"/opt/python/cp\d+-cp\d+t?"
NUMPY_INCLUDE = re.compile(BUILD_PREFIX + r"/lib/python3\.\d+t?/site-packages/numpy/_?core/include")
PYTHON_INCLUDE = re.compile(BUILD_PREFIX + r"/include/python3\.\d+t?")


def repair(text: str) -> str:
    """`text` of a CMake file with the include folders of this interpreter and its NumPy."""
    text = NUMPY_INCLUDE.sub(numpy.get_include(), text)
    return PYTHON_INCLUDE.sub(sysconfig.get_path("include"), text)


def main() -> None:
    """Repair every `share/*/cmake/*.cmake` of the running virtual environment."""
    for path in sorted(Path(sys.prefix).glob("share/*/cmake/*.cmake")):
        before = path.read_text(encoding="utf-8")
        after = repair(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"repaired {path.relative_to(sys.prefix)}")


if __name__ == "__main__":
    main()
