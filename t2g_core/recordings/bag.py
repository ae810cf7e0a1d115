"""Reading and writing rosbag2 recordings without ROS: images in, images and raw messages out.

Bags are the real thing: what is written here `ros2 bag` plays, and its MCAP and sqlite3 bags are
read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mcap.exceptions import McapError
from mcap.stream_reader import StreamReader
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from t2g_core.images.encodings import ENCODINGS, check_image, decompress, pixels, to_rgb
from t2g_core.streaming.continuity import NS

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE_TYPE, COMPRESSED_TYPE)


class StampedImage(NamedTuple):
    """An image of a bag: ``stamp_ns`` is its header's stamp, ``pixels`` as its encoding says."""

    stamp_ns: int
    pixels: np.ndarray


class RawMessage(NamedTuple):
    """A message as it went over the wire: when it was recorded, and its CDR bytes."""

    time_ns: int
    cdr: bytes


def is_bag(path: Path) -> bool:
    """Whether ``path`` is a rosbag2 folder."""
    return (path / "metadata.yaml").is_file()


def typestore(definitions: dict[str, str] | None = None) -> Typestore:
    """Return the message types of ROS 2 Jazzy and those of ``definitions``: {type: .msg text}."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in (definitions or {}).items():
        store.register(get_types_from_msg(text, name))
    return store


@contextmanager
def open_bag(path: str | Path) -> Iterator[AnyReader]:
    """Open a bag folder for reading; raises ``ValueError`` where there is no readable bag."""
    path = Path(path)
    if not is_bag(path):
        raise ValueError(f"expected a rosbag2 folder with a metadata.yaml, got {path}")
    try:
        reader = AnyReader([path], default_typestore=typestore())
        reader.open()
    except AnyReaderError as error:
        raise ValueError(f"cannot read the bag {path}: {error}") from error
    try:
        yield reader
    finally:
        reader.close()


def check_crcs(path: str | Path) -> None:
    """Read a bag's MCAP files through and compare their checksums, where they hold any.

    Raises ``ValueError`` for the first that does not fit: bytes have changed since it was recorded.
    """
    for file in sorted(Path(path).glob("*.mcap")):
        with file.open("rb") as stream:
            try:
                for _ in StreamReader(stream, validate_crcs=True).records:
                    pass
            except (McapError, ValueError, EOFError) as error:
                raise ValueError(f"{file} is damaged: {error}") from error


def image_topics(path: str | Path) -> dict[str, int]:
    """Return the bag's topics of images and how many messages each has."""
    with open_bag(path) as reader:
        return {
            connection.topic: connection.msgcount
            for connection in reader.connections
            if connection.msgtype in IMAGE_TYPES
        }


def pick_image_topic(path: str | Path, topic: str | None) -> str:
    """Return ``topic`` if the bag has images on it; None picks the only image topic.

    Raises ``ValueError`` that names the image topics there are.
    """
    topics = image_topics(path)
    known = ", ".join(f"{name} ({count})" for name, count in sorted(topics.items())) or "none"
    if topic is None and len(topics) == 1:
        return next(iter(topics))
    if topic is None:
        raise ValueError(f"{path} has several or no image topics, name one: {known}")
    if topic not in topics:
        raise ValueError(f"{path} has no images on {topic!r}; its image topics are: {known}")
    return topic


def read_images(path: str | Path, topic: str) -> Iterator[StampedImage]:
    """Yield the images on ``topic`` as RGB ``(H, W, 3)`` uint8, in the order they were recorded.

    Raises ``ValueError`` for an unknown topic and for an image that cannot be read.
    """
    for index, (stamp_ns, message) in enumerate(_image_messages(path, topic)):
        try:
            compressed = message.__msgtype__ == COMPRESSED_TYPE
            image = decompress(message.data) if compressed else to_rgb(message)
        except ValueError as error:
            raise ValueError(f"{path}, image {index} on {topic}: {error}") from error
        yield StampedImage(stamp_ns, image)


def read_masks(path: str | Path, topic: str) -> Iterator[StampedImage]:
    """Yield the mono8 images on ``topic`` as class ids ``(H, W)`` uint8."""
    for stamp_ns, message in _image_messages(path, topic):
        if message.__msgtype__ == COMPRESSED_TYPE or message.encoding != "mono8":
            raise ValueError(f"{topic}: expected mono8 class ids, got {message.__msgtype__}")
        check_image(message)
        yield StampedImage(stamp_ns, pixels(message, ENCODINGS["mono8"]))


class PackedMasks:
    """Masks by stamp, kept as PNG, a few kB each: a bag may hold them in any order."""

    def __init__(self, masks: Iterable[StampedImage]) -> None:
        self._packed = {stamp_ns: cv2.imencode(".png", mask)[1] for stamp_ns, mask in masks}

    def get(self, stamp_ns: int) -> np.ndarray | None:
        """The mask ``(H, W)`` uint8 with this stamp, None where there is none."""
        packed = self._packed.get(stamp_ns)
        return None if packed is None else cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)


def read_raw(path: str | Path, topic: str) -> Iterator[RawMessage]:
    """Yield the messages on ``topic`` without decoding them."""
    with open_bag(path) as reader:
        chosen = [c for c in reader.connections if c.topic == topic]
        for _, time_ns, cdr in reader.messages(connections=chosen):
            yield RawMessage(time_ns, bytes(cdr))


def _image_messages(path: str | Path, topic: str) -> Iterator[tuple[int, Any]]:
    pick_image_topic(path, topic)
    with open_bag(path) as reader:
        chosen = [c for c in reader.connections if c.topic == topic]
        for connection, _, cdr in reader.messages(connections=chosen):
            message = reader.deserialize(cdr, connection.msgtype)
            stamp = message.header.stamp
            yield stamp.sec * NS + stamp.nanosec, message


class BagWriter:
    """Writes a new bag; use it as a context. The folder must not exist yet.

    ``definitions`` are the .msg texts of types that are not part of ROS 2 Jazzy.
    """

    def __init__(
        self, path: str | Path, definitions: dict[str, str] | None = None, sqlite: bool = False
    ) -> None:
        plugin = StoragePlugin.SQLITE3 if sqlite else StoragePlugin.MCAP
        self._writer = Writer(Path(path), version=9, storage_plugin=plugin)
        self._definitions = definitions or {}
        self._store = typestore(definitions)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> BagWriter:
        self._writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write_image(self, topic: str, stamp_ns: int, pixels: np.ndarray, frame_id: str) -> None:
        """Write RGB ``(H, W, 3)`` or mono ``(H, W)`` uint8, stamped ``stamp_ns``."""
        types = self._store.types
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        if pixels.dtype != np.uint8 or channels not in (1, 3):
            raise ValueError(
                f"expected (H, W, 3) or (H, W) uint8, got {pixels.shape} {pixels.dtype}"
            )
        stamp = types["builtin_interfaces/msg/Time"](sec=stamp_ns // NS, nanosec=stamp_ns % NS)
        message = types[IMAGE_TYPE](
            header=types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding="rgb8" if channels == 3 else "mono8",
            is_bigendian=0,
            step=pixels.shape[1] * channels,
            data=np.ascontiguousarray(pixels).reshape(-1),
        )
        self.write_raw(topic, IMAGE_TYPE, stamp_ns, self._store.serialize_cdr(message, IMAGE_TYPE))

    def write_raw(self, topic: str, message_type: str, time_ns: int, cdr: bytes) -> None:
        """Write a message that is serialized already, recorded at ``time_ns``."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic,
                message_type,
                msgdef=self._definition(message_type),
                rihs01=self._store.hash_rihs01(message_type),
            )
        self._writer.write(self._connections[topic], time_ns, cdr)

    def _definition(self, message_type: str) -> str:
        """A type's .msg text and those of all types in it, the way MCAP stores them.

        Ours is kept as it was written: rosbags' own rendering of an empty string constant cannot
        be read back.
        """
        rendered, _ = self._store.generate_msgdef(message_type, ros_version=2)
        if message_type not in self._definitions:
            return rendered
        _, rule, needed = rendered.partition("=" * 80 + "\n")
        return self._definitions[message_type].rstrip() + "\n" + rule + needed
