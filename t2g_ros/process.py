# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The process of the node: it starts it, serves it, and ends it well whatever the moment."""

from __future__ import annotations

import _thread
import os
import signal
import sys

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from t2g_ros.log import shortened
from t2g_ros.segmenter import Segmenter

ENDINGS = signal.SIGINT, signal.SIGTERM
SIGNAL_PERIOD_S = 0.2  # how often a waiting node looks whether it was told to end


def end(*_) -> None:
    """Handle the first signal that ends the node; later ones are ignored.

    In a thread, since what the signal has interrupted may hold the locks that a shutdown takes.
    `threading` takes locks of its own to start one.
    """
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    _thread.start_new_thread(rclpy.try_shutdown, ())


def main() -> int:
    """Run the node until it is told to end; 1 if it could not go on."""
    # rclpy's own handlers end the process at a second signal, and leave it to none at the end.
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # a remapping or an argument that ROS cannot read
        print(f"segmenter: cannot start: {error}", file=sys.stderr)
        return 1
    log = rclpy.logging.get_logger("segmenter")
    for number in ENDINGS:
        signal.signal(number, end)
    try:
        node = Segmenter()
    except Exception as error:  # rclpy's own errors of names and values have many types
        if not rclpy.ok():  # told to end meanwhile
            return 0
        log.fatal(f"cannot start: {error}")
        rclpy.try_shutdown()
        return 1
    spin(node)
    ended, failed = node.stop(), node.failed
    if ended:
        node.destroy_node()
    rclpy.try_shutdown()
    if not ended:  # a load or a frame in progress: nothing can be lost by leaving it
        sys.stdout.flush()
        os._exit(1 if failed else 0)
    return 1 if failed else 0


def spin(node: Segmenter) -> None:
    """Serve the node until it is told to end, whatever a single request does.

    rclpy raises some requests' errors out of the executor, for example for a parameter value of a
    type that it does not know.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while rclpy.ok():
        try:
            executor.spin_once(timeout_sec=SIGNAL_PERIOD_S)
        except ExternalShutdownException:
            return
        except Exception as error:
            if rclpy.ok():
                node.get_logger().error(
                    f"a request failed: {type(error).__name__}: {shortened(str(error))}"
                )
