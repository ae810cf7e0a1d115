# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The bond of nav2's lifecycle manager: a heartbeat while the node is active.

The manager takes a node that is silent for its `bond_timeout` for dead, and its stack down. Where
the messages of bond_core are not installed, no such manager is, and nothing is sent.
"""

from __future__ import annotations

import importlib.util
import uuid

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

TOPIC = "bond"  # in the node's namespace, which is its manager's
DEPTH = 10
TIMEOUT_S = 4.0  # that the manager may take instead of its own


def is_installed() -> bool:
    """Whether bond_core's messages are there; PyPI has another package of the name `bondpy`."""
    return importlib.util.find_spec("bond") is not None


class Bond:
    """Sends `bond/msg/Status` from `start` to `stop`."""

    def __init__(self, node: LifecycleNode, period_s: float) -> None:
        from bond.msg import Status

        self._node, self._period_s = node, period_s
        self._status = Status(
            id=node.get_name(), heartbeat_timeout=TIMEOUT_S, heartbeat_period=period_s
        )
        self._publisher = node.create_publisher(Status, TOPIC, DEPTH)
        self._timer = None

    def start(self) -> None:
        """Begin a bond: a new instance, with a heartbeat at once."""
        self._status.instance_id = str(uuid.uuid4())
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(self._period_s, self._beat, clock=steady)
        self._beat()

    def stop(self) -> None:
        """Break the bond, so that the manager need not wait for its timeout."""
        if self._timer is None:
            return
        self._node.destroy_timer(self._timer)
        self._timer = None
        self._send(active=False)

    def _beat(self) -> None:
        self._send(active=True)

    def _send(self, active: bool) -> None:
        self._status.active = active
        self._status.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(self._status)
