# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node as a process of its own, and what tests feed it and hear from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from t2g_ros.messages import image_message
from t2g_ros.msg import TemporalConsistency

HEIGHT, WIDTH = 80, 120
DOMAIN_ID = os.getpid() % 100 + 1
NODE_ENVIRONMENT = {
    **os.environ,
    "ROS_DOMAIN_ID": str(DOMAIN_ID),
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    "OMP_NUM_THREADS": "1",  # sums in the order of the offline model below
}
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


def start_node(
    log: Path,
    *remappings: str,
    program: Path | None = None,
    interpreter: Path | str = sys.executable,
    params_file: Path | None = None,
    environment: dict[str, str] = NODE_ENVIRONMENT,
    enclave: str = "",
    **parameters,
) -> subprocess.Popen:
    """The installed executable, subscribed to /camera/image_raw, its words in `log`.

    program: a Python script that runs the node in `interpreter`, instead of the executable.
    """
    try:
        executable = Path(get_package_prefix("t2g_ros")) / "lib" / "t2g_ros" / "segmenter_node"
    except PackageNotFoundError:
        pytest.fail("t2g_ros is not built or its setup is not sourced: use `make test`")
    command = [str(executable)] if program is None else [str(interpreter), str(program)]
    command += ["--ros-args", "-r", "image:=/camera/image_raw"]
    for remapping in remappings:
        command += ["-r", remapping]
    if enclave:
        command += ["--enclave", enclave]
    if params_file is not None:
        command += ["--params-file", str(params_file)]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


CAMERAS = """
import sys, time
import rclpy
from node_harness import message_of, picture
from sensor_msgs.msg import Image
topics, rate_hz, seconds = sys.argv[1].split(","), float(sys.argv[2]), float(sys.argv[3])
rclpy.init()
node = rclpy.create_node("cameras")
publishers = [node.create_publisher(Image, topic, 2) for topic in topics]
pictures = [picture(number, 120, 160) for number in range(8)]
begin = time.time()
for number in range(int(rate_hz * seconds)):
    time.sleep(max(0.0, begin + number / rate_hz - time.time()))
    for publisher in publishers:
        publisher.publish(message_of(pictures[number % 8], time.time()))
time.sleep(1.0)
rclpy.shutdown()
"""


def start_cameras(topics: list[str], rate_hz: float, seconds: float) -> subprocess.Popen:
    """A process of its own that publishes images, each stamped with the time when it is sent."""
    environment = NODE_ENVIRONMENT | {"PYTHONPATH": ":".join(sys.path)}
    words = [",".join(topics), str(rate_hz), str(seconds)]
    return subprocess.Popen([sys.executable, "-c", CAMERAS, *words], env=environment)


class Harness:
    """A publisher of images and all of the node's topics, each message kept."""

    def __init__(self, log: Path, reliability: str = "RELIABLE") -> None:
        self.log = log
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN_ID)
        self.node = rclpy.create_node("tester", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy[reliability])
        self.images = self.node.create_publisher(Image, "/camera/image_raw", qos)
        self.mask = self.collect(Image, "/segmenter/mask")
        self.confidence = self.collect(Image, "/segmenter/confidence")
        self.overlay = self.collect(Image, "/segmenter/overlay")
        self.consistency = self.collect(TemporalConsistency, "/segmenter/temporal_consistency")
        self.diagnostics = self.collect(DiagnosticArray, "/diagnostics")
        self.outputs = (self.mask, self.confidence, self.overlay, self.consistency)

    def collect(self, message_type: type, topic: str) -> list:
        messages = []
        self.node.create_subscription(message_type, topic, messages.append, 10)
        return messages

    def wait_for(self, condition, what: str, timeout_s: float = 30.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, f"waited for {what}; the node says:\n{self.words()}"
            self.executor.spin_once(timeout_sec=0.05)

    def segment(self, message: Image) -> None:
        """Send an image and wait until all that belongs to it is there, alone in the lists."""
        for messages in self.outputs:
            messages.clear()
        self.images.publish(message)
        self.wait_for(lambda: all(self.outputs), f"results for {message.header}")

    def segment_once(self, message: Image) -> None:
        """The same with a subscription that may not have been found yet: send until it is there."""
        self.mask.clear()
        end_s = time.monotonic() + 30.0
        while not self.mask:
            assert time.monotonic() < end_s, f"no mask; the node says:\n{self.words()}"
            self.images.publish(message)
            self.executor.spin_once(timeout_sec=0.1)

    def values(self) -> dict[str, str]:
        """The figures of the next diagnostics."""
        self.diagnostics.clear()
        self.wait_for(lambda: self.diagnostics, "diagnostics")
        return {value.key: value.value for value in self.diagnostics[-1].status[0].values}

    def call(self, service_type: type, name: str, request):
        client = self.node.create_client(service_type, f"/segmenter/{name}")
        assert client.wait_for_service(10.0)
        future = client.call_async(request)
        self.wait_for(future.done, name)
        return future.result()

    def words(self) -> str:
        return self.log.read_text()

    def wait_until_ready(self) -> None:
        """Until the model is loaded and everybody has found everybody."""
        self.wait_for(lambda: "ready after" in self.words(), "the model", timeout_s=90.0)
        self.wait_for(
            lambda: (
                self.images.get_subscription_count()
                and self.node.count_publishers("/segmenter/overlay")
            ),
            "discovery",
        )

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Coloured tiles that move to the right from one number to the next, RGB."""
    tiles = np.random.default_rng(7).integers(0, 255, (6, 10, 3), dtype=np.uint8)
    large = cv2.resize(tiles, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(np.roll(large, 4 * number, axis=1))


def message_of(image: np.ndarray, stamp_s: float) -> Image:
    header = Header(frame_id="front_camera_optical")
    header.stamp.sec, header.stamp.nanosec = divmod(round(stamp_s * 1e9), 10**9)
    return image_message(image, "rgb8", header)


def in_bgr_with_padded_rows(message: Image) -> Image:
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
    rows = np.pad(rows[..., ::-1].reshape(message.height, -1), [(0, 0), (0, 5)])
    padded = Image(header=message.header, encoding="bgr8", step=rows.shape[1])
    padded.height, padded.width = message.height, message.width
    padded.data.frombytes(rows.tobytes())
    return padded


@contextmanager
def node_and_harness(
    tmp_path: Path, *remappings: str, reliability: str = "RELIABLE", **start
) -> Iterator[tuple[subprocess.Popen, Harness]]:
    """A node's process, see `start_node`, and its harness; both are gone afterwards."""
    log = tmp_path / "log.txt"
    process = start_node(log, *remappings, **start)
    harness = Harness(log, reliability)
    try:
        yield process, harness
    finally:
        process.kill()
        process.wait()
        harness.close()


@contextmanager
def running(tmp_path, checkpoint, reliability="RELIABLE", code=0, **parameters):
    """A node that is ready, and its harness; it has to end with this exit code."""
    with node_and_harness(
        tmp_path, reliability=reliability, checkpoint=checkpoint, device="cpu", **parameters
    ) as (process, harness):
        harness.wait_until_ready()
        yield harness
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20.0) == code, harness.words()
        assert "Traceback" not in harness.words()
