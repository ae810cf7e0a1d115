# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing rosbag2 recordings without ROS: images in, images and raw messages out.

Bags are the real thing: what is written here `ros2 bag` plays, and its MCAP and sqlite3 bags are
read here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, ReaderError, StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from t2g_core.images.encodings import ENCODINGS, check_image, decompress, pixels, to_rgb
from t2g_core.listing import by_number
from t2g_core.recordings import bag_storage
from t2g_core.recordings.bag_files import METADATA, SUFFIXES, is_storage
from t2g_core.recordings.bag_storage import (
    Connection,
    Origin,
    Storage,
    StoredMessage,
    open_storage,
    warn_once,
)
from t2g_core.streaming.continuity import NS

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE_TYPE, COMPRESSED_TYPE)
CDR = "cdr"
LABEL_INFO, VISION_CLASS = "vision_msgs/msg/LabelInfo", "vision_msgs/msg/VisionClass"
VISION_MSGS = {  # as vision_msgs 4 has them
    VISION_CLASS: "uint16 class_id\nstring class_name\n",
    LABEL_INFO: "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}
UNKNOWN_HASH = "RIHS01_" + 64 * "0"


class StampedImage(NamedTuple):
    """An image of a bag, `pixels` as its encoding says.

    header_ns: its header's stamp; time_ns: the same, or when it was recorded where the header has
    none (zero).
    """

    header_ns: int
    time_ns: int
    pixels: np.ndarray


def typestore(definitions: dict[str, str] | None = None) -> Typestore:
    """Return the message types of ROS 2 Jazzy and those of ``definitions``: {type: .msg text}."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in (definitions or {}).items():
        store.register(get_types_from_msg(text, name))
    return store


class Bag:
    """The storage files of a rosbag2 in their order, and how many messages it announces by topic.

    What can be read counts: metadata.yaml says the order of the files and nothing else, since it
    is edited by hand, and missing where a recording was not ended.

    Raises ``ValueError`` where there is no storage file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        metadata = _read_metadata(self.path)
        listed = [Path(name).name for name in metadata.get("relative_file_paths") or ()]
        files = self._find_files()
        order = {name: index for index, name in enumerate(listed)}
        self.files = sorted(files, key=lambda f: (order.get(f.name, len(order)), by_number(f)))
        if len(files) < len(listed):
            missing = ", ".join(sorted(set(listed) - {f.name for f in files}))
            warn_once(f"{self.path} lacks {missing}, which its {METADATA} lists")
        self.announced = _announced(metadata)

    def _find_files(self) -> list[Path]:
        if is_storage(self.path):
            return [self.path]
        found = [f for f in self.path.iterdir() if is_storage(f)] if self.path.is_dir() else []
        if not found:
            raise ValueError(
                f"expected a rosbag2, a folder with {' or '.join(SUFFIXES[:2])} files, "
                f"got {self.path}"
            )
        if not (self.path / METADATA).is_file():
            warn_once(
                f"{self.path} has no {METADATA}; its files are read as they are "
                "(`ros2 bag reindex` makes one)"
            )
        return found

    def counts(self) -> dict[Connection, int]:
        """What is stored: messages by connection."""
        counts: Counter[Connection] = Counter()
        for storage in self._storages():
            counts.update(storage.counts)
        return counts

    def origins(self) -> dict[Connection, Origin]:
        """What the files say of each connection beside its type."""
        found: dict[Connection, Origin] = {}
        for storage in self._storages():
            found |= storage.origins
        return found

    def messages(self, topic: str | None) -> Iterator[StoredMessage]:
        """Those on a topic, on all topics for None, in the order of the files and of time."""
        count = 0
        for storage in self._storages():
            for message in storage.messages(topic):
                count += 1
                yield message._replace(cdr=bag_storage.unpacked(message.cdr))
        announced = self.announced.get(topic, 0) if topic else 0
        if count < announced:
            sentence = f"{self.path} announces {announced} messages on {topic} and holds {count}"
            if not count:
                raise ValueError(sentence)
            warn_once(sentence)

    def _storages(self) -> Iterator[Storage]:
        """Open one after the other; one of several that cannot be read is left out."""
        for file in self.files:
            with ExitStack() as stack:
                try:
                    storage = stack.enter_context(open_storage(file))
                except ValueError as error:
                    if len(self.files) == 1:
                        raise
                    warn_once(f"{error}; it is left out")
                    continue
                yield storage

    def check_crcs(self) -> None:
        """Compare the checksums of all MCAP files; see ``bag_storage.check_crcs``."""
        for file in self.files:
            bag_storage.check_crcs(file)


def _read_metadata(path: Path) -> dict:
    """What metadata.yaml says of the bag; empty where there is none, or none that can be read."""
    file = path / METADATA
    if not file.is_file():
        return {}
    try:
        return yaml.safe_load(file.read_bytes())["rosbag2_bagfile_information"]
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:120]
        warn_once(f"{file} cannot be read ({reason}); the bag's files are read as they are")
        return {}


def _announced(metadata: dict) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for entry in metadata.get("topics_with_message_count") or ():
        try:
            counts[entry["topic_metadata"]["name"]] += int(entry["message_count"])
        except (KeyError, TypeError, ValueError):
            continue  # hand-made: what is stored counts
    return counts


def image_topics(path: str | Path) -> dict[str, int]:
    """Return the bag's topics of images and how many messages each has."""
    return _image_topics(Bag(path).counts())


def _hash_of(message_type: str, definition: str) -> str:
    """A type's hash by REP 2011; zeros where its definition is missing or no .msg text."""
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(get_types_from_msg(definition, message_type))
        return store.hash_rihs01(message_type)
    except Exception:  # rosbags raises what its parser runs into
        return UNKNOWN_HASH


def is_image(connection: Connection) -> bool:
    """Whether its messages are images that can be read here."""
    return connection.message_type in IMAGE_TYPES and connection.encoding == CDR


def _image_topics(counts: dict[Connection, int]) -> dict[str, int]:
    topics: Counter[str] = Counter()
    for connection, count in counts.items():
        if is_image(connection):
            topics[connection.topic] += count
    return dict(topics)


def pick_image_topic(path: str | Path, topic: str | None) -> str:
    """Return ``topic`` if the bag has images on it; None picks the only image topic.

    Raises ``ValueError`` that names the image topics there are.
    """
    counts = Bag(path).counts()
    topics = _image_topics(counts)
    known = ", ".join(f"{name} ({count})" for name, count in sorted(topics.items()))
    if topic is None and len(topics) == 1:
        return next(iter(topics))
    if not topics:
        others = sorted(f"{c.topic} ({c.message_type or 'no type'}, {c.encoding})" for c in counts)
        raise ValueError(
            f"{path} has no images: expected {' or '.join(IMAGE_TYPES)} in CDR, got "
            f"{', '.join(others) or 'no topic'}"
        )
    if topic is None:
        raise ValueError(f"{path} has several image topics, name one: {known}")
    if topic not in topics:
        raise ValueError(f"{path} has no images on {topic!r}; its image topics are: {known}")
    return topic


def read_images(path: str | Path, topic: str) -> Iterator[StampedImage]:
    """Yield the images on ``topic`` as RGB ``(H, W, 3)`` uint8, in the order they were recorded.

    Raises ``ValueError`` for an unknown topic, for an image that cannot be read and where a bag
    that announces images holds none.
    """
    for index, (stored, message) in enumerate(_image_messages(path, topic)):
        try:
            compressed = message.__msgtype__ == COMPRESSED_TYPE
            image = decompress(message.data, message.format) if compressed else to_rgb(message)
        except ValueError as error:
            raise ValueError(f"{path}, image {index} on {topic}: {error}") from error
        yield _stamped(stored, message, image)


def read_masks(path: str | Path, topic: str) -> Iterator[StampedImage]:
    """Yield the mono8 images on ``topic`` as class ids ``(H, W)`` uint8."""
    for stored, message in _image_messages(path, topic):
        if message.__msgtype__ == COMPRESSED_TYPE or message.encoding != "mono8":
            raise ValueError(f"{topic}: expected mono8 class ids, got {message.__msgtype__}")
        check_image(message)
        yield _stamped(stored, message, pixels(message, ENCODINGS["mono8"]))


def image_times(path: str | Path, topic: str) -> Iterator[int]:
    """Yield the times [ns] of the images on ``topic``, see ``StampedImage``, without decoding."""
    for stored, message in _image_messages(path, topic):
        yield _header_ns(message) or stored.time_ns


def _stamped(stored: StoredMessage, message: Any, picture: np.ndarray) -> StampedImage:
    header_ns = _header_ns(message)
    return StampedImage(header_ns, header_ns or stored.time_ns, picture)


def _header_ns(message: Any) -> int:
    return message.header.stamp.sec * NS + message.header.stamp.nanosec


class PackedMasks:
    """Masks by stamp, kept as PNG, a few kB each: a bag may hold them in any order.

    Several of one stamp are taken in turn, as their images come: a driver that leaves the stamp
    out, or repeats it, has no other order.
    """

    def __init__(self, masks: Iterable[StampedImage]) -> None:
        self._packed: dict[int, list[np.ndarray]] = defaultdict(list)
        for mask in masks:
            self._packed[mask.header_ns].append(cv2.imencode(".png", mask.pixels)[1])

    def take(self, header_ns: int) -> np.ndarray | None:
        """The next mask ``(H, W)`` uint8 with this stamp, None where there is none."""
        packed = self._packed.get(header_ns)
        return cv2.imdecode(packed.pop(0), cv2.IMREAD_UNCHANGED) if packed else None

    def count(self, header_ns: int) -> int:
        """How many masks with this stamp were not taken yet."""
        return len(self._packed.get(header_ns, ()))


def read_raw(path: str | Path, topic: str) -> Iterator[StoredMessage]:
    """Yield the messages on ``topic`` without decoding them."""
    return Bag(path).messages(topic)


def _image_messages(path: str | Path, topic: str) -> Iterator[tuple[StoredMessage, Any]]:
    pick_image_topic(path, topic)
    store = typestore()
    for index, stored in enumerate(Bag(path).messages(topic)):
        kind = stored.connection.message_type
        if not is_image(stored.connection):  # another publisher of the same name
            continue
        try:
            message = store.deserialize_cdr(stored.cdr, kind)
        except Exception as error:  # rosbags reads past the end, or finds what is no text
            raise ValueError(
                f"{path}, message {index} on {topic} is no {kind}: {error or type(error).__name__}"
            ) from error
        yield stored, message


class BagWriter:
    """Writes a new bag; use it as a context. The folder must not exist yet.

    ``definitions`` are the .msg texts of types that are not part of ROS 2 Jazzy. ``compressed``:
    the chunks of an MCAP file, by Zstandard.
    """

    def __init__(
        self,
        path: str | Path,
        definitions: dict[str, str] | None = None,
        sqlite: bool = False,
        compressed: bool = False,
    ) -> None:
        plugin = StoragePlugin.SQLITE3 if sqlite else StoragePlugin.MCAP
        self._writer = Writer(Path(path), version=9, storage_plugin=plugin)
        if compressed:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._definitions = definitions or {}
        self._store = typestore(definitions)
        self._connections: dict[str | Connection, Any] = {}

    def __enter__(self) -> BagWriter:
        self._writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write_image(self, topic: str, stamp_ns: int, pixels: np.ndarray, frame_id: str) -> None:
        """Write RGB ``(H, W, 3)`` or mono ``(H, W)`` uint8, stamped ``stamp_ns``."""
        types = self._store.types
        stamp = types["builtin_interfaces/msg/Time"](sec=stamp_ns // NS, nanosec=stamp_ns % NS)
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)
        self._write_mono_or_rgb(topic, stamp_ns, header, pixels)

    def _write_mono_or_rgb(self, topic: str, time_ns: int, header: Any, pixels: np.ndarray) -> None:
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        if pixels.dtype != np.uint8 or channels not in (1, 3):
            raise ValueError(
                f"expected (H, W, 3) or (H, W) uint8, got {pixels.shape} {pixels.dtype}"
            )
        message = self._store.types[IMAGE_TYPE](
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding="rgb8" if channels == 3 else "mono8",
            is_bigendian=0,
            step=pixels.shape[1] * channels,
            data=np.ascontiguousarray(pixels).reshape(-1),
        )
        self.write_raw(topic, IMAGE_TYPE, time_ns, self._store.serialize_cdr(message, IMAGE_TYPE))

    def write_mask(self, topic: str, image: StoredMessage, mask: np.ndarray) -> None:
        """Write class ids ``(H, W)`` uint8, mono8, with the header and the time of their image."""
        self._write_mono_or_rgb(topic, image.time_ns, self._header_of(image), mask)

    def write_label_info(self, topic: str, image: StoredMessage, names: Sequence[str]) -> None:
        """Write the classes' names by id as ``vision_msgs/LabelInfo``, with an image's header.

        The writer needs ``VISION_MSGS`` among its definitions.
        """
        types = self._store.types
        classes = [types[VISION_CLASS](class_id=k, class_name=n) for k, n in enumerate(names)]
        info = types[LABEL_INFO](header=self._header_of(image), class_map=classes, threshold=0.0)
        cdr = self._store.serialize_cdr(info, LABEL_INFO)
        self.write_raw(topic, LABEL_INFO, image.time_ns, cdr)

    def _header_of(self, message: StoredMessage) -> Any:
        return self._store.deserialize_cdr(message.cdr, message.connection.message_type).header

    def copy(self, message: StoredMessage, origin: Origin) -> None:
        """Write a message of another bag as it is: its type need not be known here."""
        connection = message.connection
        if connection not in self._connections:
            try:
                qos = parse_qos(origin.qos) if origin.qos else ()
            except (ReaderError, LookupError, TypeError, ValueError):
                qos = ()
                warn_once(
                    f"{connection.topic}: its quality of service cannot be read and is not copied"
                )
            self._connections[connection] = self._writer.add_connection(
                connection.topic,
                connection.message_type,
                msgdef=origin.definition,
                rihs01=origin.type_hash or _hash_of(connection.message_type, origin.definition),
                serialization_format=connection.encoding,
                offered_qos_profiles=qos,
            )
        self._writer.write(self._connections[connection], message.time_ns, message.cdr)

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
