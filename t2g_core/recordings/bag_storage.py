# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The storages of a rosbag2, MCAP and sqlite3: connections and serialized messages.

Nothing but the storage itself is asked: no definition of a message type, so that no other topic of
a bag matters, and no metadata.yaml, which people edit and tools leave out. A file that was cut, as
a recorder leaves it that loses power, gives what it holds, and a warning.
"""

from __future__ import annotations

import functools
import logging
import shutil
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import zstandard
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import CRCValidationError, StreamReader

MCAP_MAGIC, SQLITE_MAGIC, ZSTD_MAGIC = b"\x89MCAP0\r\n", b"SQLite format 3\0", b"\x28\xb5\x2f\xfd"
RECOVER_MCAP = "`mcap recover` makes a whole file of it"
RECOVER_SQLITE = "`sqlite3 FILE .recover` saves what can be read"
_LOG = logging.getLogger(__name__)
# What MCAP's reader raises for bytes that are not what they should be.
BROKEN = (
    McapError,
    ValueError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    struct.error,
    zstandard.ZstdError,
)


class Connection(NamedTuple):
    """Who published what: `message_type` as `package/msg/Name`, `encoding` `cdr` in ROS 2."""

    topic: str
    message_type: str
    encoding: str


class StoredMessage(NamedTuple):
    """A message as it went over the wire: when it was recorded [ns], and its bytes."""

    connection: Connection
    time_ns: int
    cdr: bytes


class Origin(NamedTuple):
    """What a storage says of a connection beside its type, as text, each empty where it is not
    said: the type's definition, the hash of it, and the publishers' quality of service (YAML).
    """

    definition: str = ""
    type_hash: str = ""
    qos: str = ""


class Storage(Protocol):
    """One file of a bag. `counts` is exact, and says which connections there are."""

    counts: dict[Connection, int]
    origins: dict[Connection, Origin]

    def messages(self, topic: str | None) -> Iterator[StoredMessage]:
        """Those of a topic, of all topics for None, in the order of time."""


@functools.cache
def warn_once(sentence: str) -> None:
    """Log a warning, once in a process: a recording is opened several times."""
    _LOG.warning("%s", sentence)


@contextmanager
def open_storage(path: Path) -> Iterator[Storage]:
    """Open a storage file, told by its first bytes, decompressed where it is a Zstandard file.

    Raises ``ValueError`` for another kind of file.
    """
    with _decompressed(path) as file:
        magic = _magic(file)
        if magic.startswith(MCAP_MAGIC):
            with file.open("rb") as stream:
                yield McapStorage(path, stream)
        elif magic == SQLITE_MAGIC:
            database = _open_sqlite(file)
            try:
                yield SqliteStorage(path, database, _is_cut_sqlite(file))
            except sqlite3.Error as error:
                raise ValueError(f"cannot read {path}: {error}; {RECOVER_SQLITE}") from error
            finally:
                database.close()
        else:
            held = f"{magic[:8]!r}" if magic else "nothing"
            raise ValueError(f"{path}: expected an MCAP or sqlite3 file, it begins with {held}")


def check_crcs(path: Path) -> None:
    """Read a storage through and compare the checksums that an MCAP file may hold.

    Raises ``ValueError`` for the first that does not fit: bytes have changed since it was recorded.
    """
    with _decompressed(path) as file, file.open("rb") as stream:
        if not _magic(file).startswith(MCAP_MAGIC):
            return
        try:
            for _ in StreamReader(stream, validate_crcs=True).records:
                pass
        except CRCValidationError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        except BROKEN:
            return  # cut: whoever reads the messages says so


def unpacked(data: bytes) -> bytes:
    """A message as it was sent: rosbag2 may compress each by itself."""
    if data[: len(ZSTD_MAGIC)] != ZSTD_MAGIC:  # CDR begins with a zero
        return bytes(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


class McapStorage:
    """An MCAP file; one without an index or without its end is read from front to back."""

    def __init__(self, path: Path, stream: Any) -> None:
        self._path, self._stream = path, stream
        self._summary = self._read_summary()
        self.counts: dict[Connection, int] = Counter()
        self.origins: dict[Connection, Origin] = {}
        if self._summary is None:
            self.counts.update(message.connection for message in self._from_front())
            return
        by_channel = self._summary.statistics.channel_message_counts
        for number, channel in self._summary.channels.items():
            schema = self._summary.schemas.get(channel.schema_id)
            connection = _connection(channel, schema)
            self.counts[connection] += by_channel.get(number, 0)
            self.origins[connection] = _origin(channel, schema)

    def messages(self, topic: str | None) -> Iterator[StoredMessage]:
        """Those of a topic, of all topics for None, in the order of time; of a file without an
        index in that of the file.

        Raises ``ValueError`` where the file's bytes are not what they should be.
        """
        if self._summary is None:
            found = self._from_front(warn=True)
            yield from (m for m in found if topic in (None, m.connection.topic))
            return
        reader = SeekingReader(self._stream)
        try:
            for schema, channel, message in reader.iter_messages(topic and [topic]):
                yield StoredMessage(_connection(channel, schema), message.log_time, message.data)
        except BROKEN as error:
            raise ValueError(f"{self._path} is damaged: {error}; {RECOVER_MCAP}") from error

    def _read_summary(self):
        """None where the file has none, or none that lists all messages."""
        try:
            summary = SeekingReader(self._stream).get_summary()
        except (*BROKEN, OSError, StopIteration):
            return None
        statistics = None if summary is None else summary.statistics
        if statistics is None or (statistics.message_count and not summary.chunk_indexes):
            return None
        counts = statistics.channel_message_counts
        whole = sum(counts.values()) == statistics.message_count
        return summary if whole and counts.keys() <= summary.channels.keys() else None

    def _from_front(self, warn: bool = False) -> Iterator[StoredMessage]:
        """What can be read before the file ends."""
        schemas: dict[int, Schema] = {}
        channels: dict[int, Connection] = {}
        self._stream.seek(0)
        try:
            for record in StreamReader(self._stream).records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    schema = schemas.get(record.schema_id)
                    channels[record.id] = _connection(record, schema)
                    self.origins[channels[record.id]] = _origin(record, schema)
                elif isinstance(record, Message):
                    yield StoredMessage(channels[record.channel_id], record.log_time, record.data)
        except BROKEN as error:
            if warn:
                warn_once(
                    f"{self._path} is cut ({error or type(error).__name__}): it is read as far as "
                    f"it goes; {RECOVER_MCAP}"
                )


class SqliteStorage:
    """An sqlite3 file; `is_cut` says that its end is missing."""

    def __init__(self, path: Path, database: sqlite3.Connection, is_cut: bool) -> None:
        self._path, self._database, self._is_cut = path, database, is_cut
        if is_cut:  # else sqlite3 refuses a file that is shorter than it says
            database.execute("PRAGMA writable_schema = ON")
        rows = database.execute("SELECT id, name, type, serialization_format FROM topics")
        self._topics = {number: Connection(*rest) for number, *rest in rows}
        self.origins = self._read_origins()
        self.counts: dict[Connection, int] = Counter(dict.fromkeys(self._topics.values(), 0))
        if is_cut:
            self.counts.update(message.connection for message in self._before_the_cut())
            return
        counted = database.execute("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id")
        for number, count in counted:
            if number in self._topics:  # else reading says so
                self.counts[self._topics[number]] += count

    def messages(self, topic: str | None) -> Iterator[StoredMessage]:
        """Those of a topic, of all topics for None, in the order of time.

        Raises ``ValueError`` where the file's bytes are not what they should be.
        """
        if self._is_cut:
            warn_once(f"{self._path} is cut: it is read as far as it goes; {RECOVER_SQLITE}")
            found = self._before_the_cut()
            yield from (m for m in found if topic in (None, m.connection.topic))
            return
        numbers = [number for number, c in self._topics.items() if topic in (None, c.topic)]
        marks = ",".join("?" * len(numbers))
        yield from self._select(f"WHERE topic_id IN ({marks}) ORDER BY timestamp, id", numbers)

    def _read_origins(self) -> dict[Connection, Origin]:
        """What the tables say, which have other columns in each version of rosbag2."""
        try:
            definitions = dict(
                self._database.execute(
                    "SELECT topic_type, encoded_message_definition FROM message_definitions"
                )
            )
        except sqlite3.Error:
            definitions = {}
        try:
            rows = self._database.execute("SELECT * FROM topics")
            names = [column[0] for column in rows.description]
            topics = [dict(zip(names, row, strict=True)) for row in rows]
        except sqlite3.Error:
            topics = []
        return {
            self._topics[topic["id"]]: Origin(
                str(definitions.get(topic["type"]) or ""),
                str(topic.get("type_description_hash") or ""),
                str(topic.get("offered_qos_profiles") or ""),
            )
            for topic in topics
            if topic.get("id") in self._topics
        }

    def _before_the_cut(self) -> Iterator[StoredMessage]:
        try:
            yield from self._select("ORDER BY id")
        except ValueError:
            return

    def _select(self, clause: str, values: Iterable[int] = ()) -> Iterator[StoredMessage]:
        query = f"SELECT topic_id, timestamp, data FROM messages {clause}"  # noqa: S608
        try:
            for number, time_ns, data in self._database.execute(query, tuple(values)):
                known = number in self._topics
                if not (known and isinstance(time_ns, int) and isinstance(data, bytes)):
                    raise sqlite3.DataError("a message without a topic, a time or its bytes")
                yield StoredMessage(self._topics[number], time_ns, data)
        except sqlite3.Error as error:
            raise ValueError(f"{self._path} is damaged: {error}; {RECOVER_SQLITE}") from error


def _connection(channel: Channel, schema: Schema | None) -> Connection:
    """Converters of ROS 1 recordings write `sensor_msgs/Image` for `sensor_msgs/msg/Image`."""
    name = schema.name if schema is not None else ""
    package, _, rest = name.partition("/")
    if rest and "/" not in rest and channel.message_encoding == "cdr":
        name = f"{package}/msg/{rest}"
    return Connection(channel.topic, name, channel.message_encoding)


def _origin(channel: Channel, schema: Schema | None) -> Origin:
    definition = b"" if schema is None else schema.data
    return Origin(
        definition.decode(errors="replace"),
        channel.metadata.get("topic_type_hash", ""),
        channel.metadata.get("offered_qos_profiles", ""),
    )


def _open_sqlite(path: Path) -> sqlite3.Connection:
    """For reading; a journal beside the file counts, but where nothing may be written there."""
    address = f"file:{quote(str(path.resolve()))}"
    database = sqlite3.connect(f"{address}?mode=ro", uri=True)
    try:
        database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        database.close()
        database = sqlite3.connect(f"{address}?immutable=1", uri=True)
    except sqlite3.DatabaseError:
        pass  # cut: SqliteStorage reads what there is
    return database


def _magic(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(SQLITE_MAGIC))


def _is_cut_sqlite(path: Path) -> bool:
    """Whether the file is shorter than its header says, where the header's word is valid."""
    with path.open("rb") as stream:
        header = stream.read(96)
    if len(header) < 96:
        return True
    if header[24:28] != header[92:96]:  # written by a version that leaves the size out
        return False
    page, pages = struct.unpack(">H", header[16:18])[0], struct.unpack(">I", header[28:32])[0]
    return path.stat().st_size < (65536 if page == 1 else page) * pages


@contextmanager
def _decompressed(path: Path) -> Iterator[Path]:
    """The file itself, or what a Zstandard file holds, in a folder that goes afterwards."""
    if not _magic(path).startswith(ZSTD_MAGIC):
        yield path
        return
    with TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        with path.open("rb") as packed, plain.open("wb") as out:
            try:
                shutil.copyfileobj(zstandard.ZstdDecompressor().stream_reader(packed), out)
            except zstandard.ZstdError as error:
                raise ValueError(f"{path} is damaged: {error}") from error
        yield plain
