# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Bags as they are found: other topics' definitions, edited metadata, cut files, no stamps."""

from __future__ import annotations

import logging
import sqlite3

import numpy as np
import pytest
import yaml
import zstandard
from mcap.writer import Writer as McapWriter
from PIL import Image
from test_bag import NS, START, picture

from t2g_core.recordings.bag import BagWriter, image_topics, pick_image_topic, read_images
from t2g_core.recordings.bag_storage import warn_once
from t2g_core.recordings.clip_source import open_clip

IMAGES = 4


def write_bag(path, sqlite=False, stamps=None) -> None:
    """Images and labels, the k-th label all k."""
    with BagWriter(path, sqlite=sqlite) as writer:
        for k in range(IMAGES):
            stamp = START + k * NS // 15 if stamps is None else stamps[k]
            writer.write_image("/camera", stamp, picture(k), "cam")
            writer.write_image("/labels", stamp, np.full((24, 40), k, np.uint8), "cam")


def image_cdrs(tmp_path) -> list[bytes]:
    from t2g_core.recordings.bag import read_raw

    write_bag(tmp_path / "source")
    return [message.cdr for message in read_raw(tmp_path / "source", "/camera")]


def storage(path):
    (file,) = (f for f in path.iterdir() if f.name != "metadata.yaml")
    return file


def images(path, topic="/camera") -> list[np.ndarray]:
    return [image.pixels for image in read_images(path, topic)]


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("some_pkg/action/Go_FeedbackMessage", "ros2msg", b""),
        ("some_pkg/msg/Thing", "", b""),
        ("some_pkg/msg/Thing", "unknown", b"?"),
        ("state", "jsonschema", b"{}"),
        ("some_pkg/msg/Thing", "ros2idl", b'#include "x.idl"\nmodule some_pkg {};'),
    ],
)
def test_no_other_topic_matters(tmp_path, name, encoding, text):
    cdrs = image_cdrs(tmp_path)
    path = tmp_path / "bag_0.mcap"
    with path.open("wb") as stream:
        writer = McapWriter(stream)
        writer.start()
        other = writer.register_channel(
            "/other", "json", writer.register_schema(name, encoding, text)
        )
        nameless = writer.register_channel("/nameless", "cdr", 0)
        kind = writer.register_schema("sensor_msgs/msg/Image", "ros2msg", b"")
        camera = writer.register_channel("/camera", "cdr", kind)
        for k, cdr in enumerate(cdrs):
            for channel, data in ((other, b"{}"), (nameless, b""), (camera, cdr)):
                writer.add_message(channel, k, data, k)
        writer.finish()
    for read in (path, tmp_path):  # the file, and its folder, without a metadata.yaml
        found = images(read)
        assert len(found) == IMAGES and np.array_equal(found[3], picture(3))


def test_images_in_another_serialization_are_named(tmp_path):
    path = tmp_path / "x.mcap"
    with path.open("wb") as stream:
        writer = McapWriter(stream)
        writer.start()
        kind = writer.register_schema("foxglove.RawImage", "protobuf", b"")
        writer.add_message(writer.register_channel("/camera", "protobuf", kind), 0, b"", 0)
        writer.finish()
    with pytest.raises(ValueError, match=r"no images: .* /camera \(foxglove\.RawImage, protobuf\)"):
        pick_image_topic(path, None)


@pytest.mark.parametrize("sqlite", [False, True])
def test_what_metadata_says_of_a_storage_is_not_believed(tmp_path, sqlite):
    path = tmp_path / "bag"
    write_bag(path, sqlite)
    file = path / "metadata.yaml"
    metadata = yaml.safe_load(file.read_text())
    information = metadata["rosbag2_bagfile_information"]
    information["storage_identifier"] = ""
    for entry in information["topics_with_message_count"]:
        entry["topic_metadata"]["offered_qos_profiles"] = [{"history": "keep_all", "depth": 7}]
        entry["topic_metadata"]["type_description_hash"] = "RIHS01_0"
    file.write_text(yaml.safe_dump(metadata))
    storage(path).rename(path / ("renamed.db3" if sqlite else "renamed.mcap"))
    assert len(images(path)) == IMAGES
    file.write_text("rosbag2_bagfile_information: [")
    assert len(images(path)) == IMAGES
    file.unlink()
    assert len(images(path)) == IMAGES


def test_announced_and_not_there_is_said(tmp_path):
    with BagWriter(tmp_path / "empty") as writer:
        writer.write_image("/labels", START, picture(0), "cam")
    with storage(tmp_path / "empty").open("wb") as stream:
        empty = McapWriter(stream)
        empty.start()
        kind = empty.register_schema("sensor_msgs/msg/Image", "ros2msg", b"")
        empty.register_channel("/labels", "cdr", kind)
        empty.finish()
    with pytest.raises(ValueError, match="announces 1 messages on /labels and holds 0"):
        images(tmp_path / "empty", "/labels")


@pytest.mark.parametrize("sqlite", [False, True])
def test_a_cut_recording_is_read_as_far_as_it_goes(tmp_path, sqlite, caplog):
    path = tmp_path / "bag"
    with BagWriter(path, sqlite=sqlite) as writer:
        for k in range(40):
            writer.write_image("/camera", START + k * NS // 15, picture(k), "cam")
    file = storage(path)
    data = file.read_bytes()
    if not sqlite:  # as a recorder writes it, in chunks
        with file.open("wb") as stream:
            writer = McapWriter(stream, chunk_size=9000)
            writer.start()
            kind = writer.register_schema("sensor_msgs/msg/Image", "ros2msg", b"")
            camera = writer.register_channel("/camera", "cdr", kind)
            for k, cdr in enumerate(image_cdrs(tmp_path) * 10):
                writer.add_message(camera, k, cdr, k)
            writer.finish()
        data = file.read_bytes()
    file.write_bytes(data[: len(data) * 3 // 4])
    (path / "metadata.yaml").unlink()
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        found = images(path)
    assert 20 <= len(found) < 40 and np.array_equal(found[2], picture(2))
    words = " ".join(caplog.messages)
    assert "is cut" in words and "ros2 bag reindex" in words
    assert ("sqlite3 FILE .recover" if sqlite else "mcap recover") in words


def test_compressed_bags_are_read(tmp_path):
    write_bag(tmp_path / "file")
    file = storage(tmp_path / "file")
    packed = zstandard.compress(file.read_bytes())
    file.with_name(f"{file.name}.zstd").write_bytes(packed)
    file.unlink()
    assert len(images(tmp_path / "file")) == IMAGES
    write_bag(tmp_path / "message", sqlite=True)
    with sqlite3.connect(storage(tmp_path / "message")) as database:
        rows = database.execute("SELECT id, data FROM messages").fetchall()
        for number, data in rows:
            values = zstandard.compress(data), number
            database.execute("UPDATE messages SET data = ? WHERE id = ?", values)
    assert np.array_equal(images(tmp_path / "message")[1], picture(1))


def test_another_type_on_the_same_topic_is_passed_over(tmp_path):
    cdrs = image_cdrs(tmp_path)
    path = tmp_path / "x.mcap"
    with path.open("wb") as stream:
        writer = McapWriter(stream)
        writer.start()
        for name, data in (("std_msgs/msg/String", [b"\0\1\0\0\1\0\0\0\0"] * 2), ("", cdrs)):
            kind = writer.register_schema(name or "sensor_msgs/msg/Image", "ros2msg", b"")
            channel = writer.register_channel("/camera", "cdr", kind)
            for k, cdr in enumerate(data):
                writer.add_message(channel, k, cdr, k)
        writer.finish()
    assert len(images(path)) == IMAGES


@pytest.mark.parametrize("sqlite", [False, True])
def test_a_damaged_storage_is_an_error_in_a_sentence(tmp_path, sqlite):
    """The middle of it, with its end as it was."""
    with BagWriter(tmp_path / "bag", sqlite=sqlite) as writer:
        for k in range(40):
            writer.write_image("/camera", START + k, picture(k), "cam")
    file = storage(tmp_path / "bag")
    data = bytearray(file.read_bytes())
    middle = slice(len(data) // 3, len(data) // 3 + 9000)
    data[middle] = bytes(b ^ 0xA5 for b in data[middle])
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"(bag\.mcap is damaged|cannot read .*bag\.db3): .* `"):
        images(tmp_path / "bag")


def test_a_folder_of_pictures_with_a_storage_in_it_is_one_of_pictures(tmp_path):
    write_bag(tmp_path / "bag")
    storage(tmp_path / "bag").rename(tmp_path / "x.mcap")
    Image.fromarray(picture(0)).save(tmp_path / "0.png")
    (frame,) = open_clip(tmp_path, 15.0)
    assert np.array_equal(frame.image, picture(0))
    assert len(list(open_clip(tmp_path / "x.mcap", 15.0, "/camera"))) == IMAGES


def test_an_empty_file_of_several_is_left_out(tmp_path, caplog):
    """As a recorder leaves it that ends before its new file has a message."""
    write_bag(tmp_path / "bag")
    (tmp_path / "bag" / "bag_1.mcap").write_bytes(b"")
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert len(images(tmp_path / "bag")) == IMAGES
    assert "bag_1.mcap" in caplog.text and "it is left out" in caplog.text


def test_files_follow_each_other_by_number(tmp_path):
    (tmp_path / "bag").mkdir()
    for number in (10, 2, 1):
        with BagWriter(tmp_path / f"part{number}") as writer:
            writer.write_image("/camera", START + number, picture(number), "cam")
        storage(tmp_path / f"part{number}").rename(tmp_path / "bag" / f"bag_{number}.mcap")
    found = [image.header_ns - START for image in read_images(tmp_path / "bag", "/camera")]
    assert found == [1, 2, 10]


def test_what_is_still_in_the_journal_counts(tmp_path):
    """As sqlite3 leaves it where the recorder was killed."""
    write_bag(tmp_path / "bag", sqlite=True)
    file = storage(tmp_path / "bag")
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode = WAL")
    row = database.execute("SELECT topic_id, timestamp, data FROM messages WHERE id = 1").fetchone()
    database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", row)
    database.commit()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (file.name, f"{file.name}-wal"):
        (copy / name).write_bytes((file.parent / name).read_bytes())
    database.close()
    assert sum(image_topics(copy).values()) == 2 * IMAGES + 1


def test_dot_files_beside_a_storage_are_no_storage(tmp_path):
    write_bag(tmp_path / "bag")
    (tmp_path / "bag" / "._bag.mcap").write_bytes(b"\0\5\x16\7 macOS")
    assert image_topics(tmp_path / "bag") == {"/camera": IMAGES, "/labels": IMAGES}


@pytest.mark.parametrize("stamp", [0, START])
def test_labels_of_one_stamp_are_taken_in_order(tmp_path, stamp):
    write_bag(tmp_path / "bag", stamps=[stamp] * IMAGES)
    frames = list(open_clip(tmp_path / "bag", 15.0, "/camera", "/labels"))
    assert [int(frame.labels.max()) for frame in frames] == list(range(IMAGES))


def test_without_a_stamp_the_time_of_recording_counts(tmp_path):
    from t2g_core.recordings.bag import read_raw

    write_bag(tmp_path / "zero", stamps=[0] * IMAGES)
    with BagWriter(tmp_path / "bag") as writer:
        for k, message in enumerate(read_raw(tmp_path / "zero", "/camera")):
            writer.write_raw("/camera", "sensor_msgs/msg/Image", START + k * NS, message.cdr)
    times = [frame.stamp_ns for frame in open_clip(tmp_path / "bag", 15.0)]
    assert times == [START + k * NS for k in range(IMAGES)]


@pytest.mark.parametrize("extra", ["/camera", "/labels"])
def test_labels_that_cannot_be_paired_are_refused(tmp_path, extra):
    write_bag(tmp_path / "bag", stamps=[START] * IMAGES)
    with BagWriter(tmp_path / "more") as writer:
        from t2g_core.recordings.bag import read_raw

        for topic in ("/camera", "/labels"):
            for message in read_raw(tmp_path / "bag", topic):
                writer.write_raw(topic, "sensor_msgs/msg/Image", START, message.cdr)
                last = message.cdr
            if topic == extra:
                writer.write_raw(topic, "sensor_msgs/msg/Image", START, last)
    with pytest.raises(ValueError, match="nothing says which belong together"):
        list(open_clip(tmp_path / "more", 15.0, "/camera", "/labels"))
