# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The demo with several cameras: rendered streets of different sizes through one node at once."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from t2g_core.images.overlay import overlay
from t2g_core.recordings.clip_meter import latency_summary
from t2g_core.recordings.pictures import OVERLAY_OPACITY, Mp4Writer, resized, with_caption
from t2g_core.recordings.result_folder import REPORT, write_report
from t2g_core.streaming.labelling import read_labelling
from t2g_core.street.scene import StreetScene
from t2g_core.street.weather import WEATHERS
from t2g_ros.demo.node_process import NodeProcess
from t2g_ros.diagnostics import RUNNING
from t2g_ros.messages import image_message

NAMES = ("front", "left", "right", "rear", "front_left", "front_right", "rear_left", "rear_right")
SIZES = ((480, 360), (640, 360), (320, 240), (400, 400))
PICTURE, VIDEO = "cameras.png", "cameras.mp4"
PICTURE_HEIGHT = 360
LOADING_TIMEOUT_S, ANSWER_TIMEOUT_S = 300.0, 60.0
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


@dataclass
class Shown:
    """One camera: what it sends, and what came back, by the frame's number."""

    name: str
    scene: StreetScene
    sent_s: dict[int, float] = field(default_factory=dict)
    latency_ms: dict[int, float] = field(default_factory=dict)
    masks: dict[int, np.ndarray] = field(default_factory=dict)


def scenes(count: int, frames: int, rate_hz: float) -> list[Shown]:
    """Other streets in other weather at other sizes."""
    shown = []
    for k, name in enumerate(NAMES[:count]):
        weather = WEATHERS[k % len(WEATHERS)]
        scene = StreetScene(7 + k, frames, *SIZES[k % len(SIZES)], rate_hz, weather)
        shown.append(Shown(name, scene))
    return shown


class Rig(Node):
    """Publishes all cameras' frames together and hears their masks."""

    def __init__(self, cameras: list[Shown]) -> None:
        super().__init__("demo")
        self.cameras = cameras
        self.states: dict[str, str] = {}
        self._images = {
            camera.name: self.create_publisher(Image, f"/{camera.name}/image", RELIABLE)
            for camera in cameras
        }
        for camera in cameras:
            self.create_subscription(
                Image, f"/segmenter/{camera.name}/mask", self._keeper(camera), RELIABLE
            )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def wait_until(self, happened, timeout_s: float, node: NodeProcess) -> bool:
        """Listen until something has happened; False after the timeout."""
        end_s = time.monotonic() + timeout_s
        while not happened():
            node.check()
            if time.monotonic() > end_s:
                return False
            self._executor.spin_once(timeout_sec=0.1)
        return True

    def is_heard(self) -> bool:
        """Whether the node runs and listens to every camera."""
        heard = all(images.get_subscription_count() for images in self._images.values())
        return heard and set(self.states.values()) == {RUNNING}

    def send(self, number: int, start_ns: int, pictures: dict[str, np.ndarray]) -> None:
        """One frame of every camera, with one stamp."""
        for camera in self.cameras:
            stamp_ns = start_ns + round(number * 1e9 / camera.scene.rate_hz)
            header = Header(frame_id=camera.name)
            header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 10**9)
            camera.sent_s[number] = time.monotonic()
            self._images[camera.name].publish(image_message(pictures[camera.name], "rgb8", header))

    def _keeper(self, camera: Shown):
        def keep(message: Image) -> None:
            number = len(camera.masks)  # the next is sent when all masks have come
            camera.latency_ms[number] = 1e3 * (time.monotonic() - camera.sent_s[number])
            pixels = np.frombuffer(message.data, np.uint8)
            camera.masks[number] = pixels.reshape(message.height, message.width)

        return keep

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.states[status.name] = {v.key: v.value for v in status.values}["state"]


def run_cameras(args: argparse.Namespace, say) -> dict:
    """Run the node on all cameras; writes the pictures and the report, returns the report.

    Raises:
        ValueError: more cameras than there are names for.
        RuntimeError: the node ends, or masks do not come.
    """
    if not 1 <= args.cameras <= len(NAMES):
        raise ValueError(f"--cameras: expected 1 to {len(NAMES)}, got {args.cameras}")
    cameras = scenes(args.cameras, args.frames, args.rate)
    names = [camera.name for camera in cameras]
    palette = np.array(read_labelling(args.checkpoint).palette, np.uint8)
    rclpy.init()
    log = args.out / "node.log"
    try:
        with NodeProcess(None, log, args.checkpoint, args.device, names) as node:
            say(f"the node is loading its model for {', '.join(names)} (log: {log})")
            rig = Rig(cameras)
            if not rig.wait_until(rig.is_heard, LOADING_TIMEOUT_S, node):
                raise RuntimeError(f"the node was not ready after {LOADING_TIMEOUT_S:.0f} s")
            say(f"sending {args.frames} frames of each, all cameras at once")
            with Mp4Writer(args.out / VIDEO, args.rate) as video:
                for picture in replayed(rig, node, palette, args):
                    video.write(picture)
            cv2.imwrite(str(args.out / PICTURE), picture[..., ::-1])
    finally:
        rclpy.try_shutdown()
    report = {
        camera.name: {
            "size": [camera.scene.width, camera.scene.height],
            "weather": camera.scene.weather,
            "frames_sent": len(camera.sent_s),
            "masks_received": len(camera.masks),
            "latency_ms": latency_summary(list(camera.latency_ms.values())[1:] or [np.nan]),
        }
        for camera in cameras
    }
    write_report(args.out, report)
    return report


def replayed(
    rig: Rig, node: NodeProcess, palette: np.ndarray, args: argparse.Namespace
) -> Iterator[np.ndarray]:
    """Send frame by frame, each when all masks of the last have come; what came, side by side."""
    start_ns, end_s = time.time_ns(), time.monotonic() + args.seconds
    frames = zip(*(camera.scene for camera in rig.cameras), strict=True)
    for number, rendered in enumerate(frames):
        if number and time.monotonic() > end_s:
            return
        pictures = {c.name: image for c, (image, _) in zip(rig.cameras, rendered, strict=True)}
        rig.send(number, start_ns, pictures)
        if not rig.wait_until(
            lambda n=number: all(n in c.masks for c in rig.cameras), ANSWER_TIMEOUT_S, node
        ):
            raise RuntimeError(f"not all masks came within {ANSWER_TIMEOUT_S:.0f} s")
        yield side_by_side(rig.cameras, pictures, number, palette)


def side_by_side(
    cameras: list[Shown], pictures: dict[str, np.ndarray], number: int, palette: np.ndarray
) -> np.ndarray:
    """The overlay of each camera, (H, W, 3) uint8 RGB, all at one height."""
    columns = []
    for camera in cameras:
        image, mask = pictures[camera.name], camera.masks[number]
        painted = overlay(image, mask, palette, OVERLAY_OPACITY)
        width = round(image.shape[1] * PICTURE_HEIGHT / image.shape[0])
        caption = f"{camera.name} {image.shape[1]}x{image.shape[0]}, {camera.scene.weather}"
        columns.append(with_caption(resized(painted, (width, PICTURE_HEIGHT)), caption))
    return np.hstack(columns)


def lines(report: dict, out: Path) -> list[str]:
    """What to print of the report."""
    rows = [
        f"{name}: frames sent {camera['frames_sent']}, masks {camera['masks_received']}, latency "
        f"{camera['latency_ms']['p50']} ms median, {camera['latency_ms']['p95']} ms p95"
        for name, camera in report.items()
    ]
    return [*rows, *(str(out / name) for name in (VIDEO, PICTURE, REPORT))]
