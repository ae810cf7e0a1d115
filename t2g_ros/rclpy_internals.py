# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What rclpy has no public way for: everything in this package that touches its private names.

Tested with rclpy 7.1 (Jazzy). Where a later version has these names no more, the node goes on
without what they are for, as each function says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter

try:
    from rclpy._rclpy_pybind11 import RCLError
except ImportError:
    RCLError = RuntimeError


def given_parameters(node: Node) -> Mapping[str, Parameter]:
    """Values that were given to the node at its start, by command line or file, declared or not.

    Without rclpy's name nothing: unknown parameters are then passed over without a word, and
    `qos_overrides` cannot set the reliability.
    """
    return getattr(node, "_parameter_overrides", {})


def answer_impossible_transitions(node: LifecycleNode, tell: Callable[[str], object]) -> None:
    """Let ~/change_state answer `success: false` to a transition that there is not now.

    rclpy raises there, and whoever asked waits for ever; without rclpy's name it stays so.

    tell: what is said of it.
    """
    service = getattr(node, "_service_change_state", None)
    if service is not None:
        service.callback = partial(_answer, service.callback, tell)


def _answer(answer, tell, request, response):
    try:
        return answer(request, response)
    except RCLError as error:
        tell(str(error))
        response.success = False
        return response
