# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Parameter files that say nothing to this node, which ROS passes over without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

OPTION = "--params-file"
ENTRY = "ros__parameters"


def files_without_entry(arguments: Sequence[str], node_name: str) -> list[str]:
    """A sentence for each parameter file of the arguments that has no entry for the node.

    arguments: the process's, as in ``sys.argv``; node_name: with its namespace. A file that cannot
    be read is rcl's to name, which has read it before.
    """
    sentences = []
    for option, value in zip(arguments, arguments[1:], strict=False):
        if option != OPTION:
            continue
        names = list(_nodes(yaml.safe_load(Path(value).read_bytes())))
        if not any(_matches(name, node_name) for name in names):
            sentences.append(
                f"{value} has no entry for {node_name}, which starts without its parameters; it "
                f"has: {', '.join(names) or 'none'}"
            )
    return sentences


def _nodes(mapping: object, above: str = "") -> Iterator[str]:
    """Names, or patterns, of the nodes in a parameter file; namespaces may be nested."""
    if not isinstance(mapping, dict):
        return
    for key, value in mapping.items():
        name = f"{above}/{str(key).strip('/')}"
        if isinstance(value, dict) and ENTRY in value:
            yield name
        else:
            yield from _nodes(value, name)


def _matches(pattern: str, name: str) -> bool:
    """As rcl does: `*` is one part of a name, `**` any number of them."""
    parts = re.escape(pattern).replace(r"/\*\*", "(/[^/]+)*").replace(r"\*", "[^/]+")
    return re.fullmatch(parts, name) is not None
