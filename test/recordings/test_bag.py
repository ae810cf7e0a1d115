# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Bags there and back, clips from every source, and the offline evaluation of a bag."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin, Writer
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.cli import main
from t2g_core.listing import by_number
from t2g_core.recordings.bag import (
    Bag,
    BagWriter,
    image_topics,
    pick_image_topic,
    read_images,
    read_masks,
    read_raw,
    typestore,
)
from t2g_core.recordings.clip_source import clip_rate, fit, open_clip
from t2g_core.recordings.pictures import Mp4Writer

NS = 1_000_000_000
START = 1_700_000_000 * NS + 7


def picture(seed: int, height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def bag(tmp_path):
    """Three images and their labels, 15 a second."""
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        for k in range(3):
            stamp = START + k * NS // 15
            writer.write_image("/camera", stamp, picture(k), "cam")
            writer.write_image("/labels", stamp, np.full((24, 40), k, np.uint8), "cam")
    return path


@pytest.mark.parametrize("sqlite", [False, True])
def test_images_come_back_to_the_bit_with_their_stamps(tmp_path, sqlite):
    path = tmp_path / "bag"
    with BagWriter(path, sqlite=sqlite) as writer:
        writer.write_image("/camera", START, picture(1), "cam")
    assert (list(path.glob("*.db3")) != []) is sqlite
    ((stamp_ns, time_ns, image),) = read_images(path, "/camera")
    assert stamp_ns == time_ns == START
    np.testing.assert_array_equal(image, picture(1))


def test_ros_reads_what_is_written(bag):
    serialization = pytest.importorskip("rclpy.serialization", reason="needs ROS 2")
    from sensor_msgs.msg import Image

    raw = next(read_raw(bag, "/camera"))
    message = serialization.deserialize_message(raw.cdr, Image)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (START // NS, START % NS)
    assert (message.width, message.height, message.step) == (40, 24, 120)
    assert (message.encoding, message.header.frame_id) == ("rgb8", "cam")
    assert bytes(message.data) == picture(0).tobytes()
    assert raw.time_ns == START


def test_own_message_types_come_back_with_their_definition(tmp_path):
    text = 'string NONE=""  # empty\nstd_msgs/Header header\nfloat32[] flicker\n'
    store = typestore({"some_pkg/msg/Report": text})
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=5, nanosec=6)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="x")
    flicker = np.array([0.5, 0.25], np.float32)
    message = types["some_pkg/msg/Report"](header=header, flicker=flicker)
    cdr = store.serialize_cdr(message, "some_pkg/msg/Report")
    with BagWriter(tmp_path / "bag", {"some_pkg/msg/Report": text}) as writer:
        writer.write_raw("/report", "some_pkg/msg/Report", START, cdr)
    from rosbags.highlevel import AnyReader

    with AnyReader([tmp_path / "bag"]) as reader:
        ((connection, time_ns, data),) = reader.messages()
        back = reader.deserialize(data, connection.msgtype)
    assert time_ns == START and back.header.frame_id == "x"
    assert back.flicker.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [("bgr8", [3, 2, 1]), ("rgba8", [1, 2, 3, 9]), ("bgra8", [3, 2, 1, 9])],
)
def test_other_encodings_and_padded_rows_become_rgb(tmp_path, encoding, pixel):
    row = np.array(pixel * 2 + [77], np.uint8)  # two pixels and a byte of padding
    write_message(tmp_path / "bag", encoding, 2, 2, len(row), np.tile(row, 2))
    (image,) = read_images(tmp_path / "bag", "/camera")
    np.testing.assert_array_equal(image.pixels, np.tile(np.array([1, 2, 3]), (2, 2, 1)))


def write_message(path, encoding, width, height, step, data):
    store = typestore()
    types = store.types
    header = types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id=""
    )
    message = types["sensor_msgs/msg/Image"](
        header=header, height=height, width=width, encoding=encoding, is_bigendian=0,
        step=step, data=data,
    )  # fmt: skip
    with BagWriter(path) as writer:
        cdr = store.serialize_cdr(message, "sensor_msgs/msg/Image")
        writer.write_raw("/camera", "sensor_msgs/msg/Image", NS, cdr)


def test_broken_images_are_named(tmp_path):
    write_message(tmp_path / "a", "64FC9", 2, 1, 6, np.zeros(6, np.uint8))
    with pytest.raises(ValueError, match="64FC9"):
        list(read_images(tmp_path / "a", "/camera"))
    write_message(tmp_path / "b", "rgb8", 2, 2, 6, np.zeros(6, np.uint8))
    with pytest.raises(ValueError, match="image 0 on /camera: data: expected 12 bytes"):
        list(read_images(tmp_path / "b", "/camera"))
    with pytest.raises(ValueError, match="mono8"):
        list(read_masks(tmp_path / "b", "/camera"))


def test_a_wrong_topic_names_those_there_are(bag):
    assert image_topics(bag) == {"/camera": 3, "/labels": 3}
    assert pick_image_topic(bag, "/camera") == "/camera"
    for topic in ("/nothing", None):
        with pytest.raises(ValueError, match=r"/camera \(3\), /labels \(3\)"):
            pick_image_topic(bag, topic)


def test_a_folder_that_is_no_bag_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a rosbag2, a folder with \.mcap or"):
        image_topics(tmp_path)
    (tmp_path / "x.mcap").write_bytes(b"something else")
    with pytest.raises(ValueError, match="expected an MCAP or sqlite3 file, it begins with b'some"):
        image_topics(tmp_path)


def test_wrong_pixels_are_not_written(tmp_path):
    with BagWriter(tmp_path / "bag") as writer, pytest.raises(ValueError, match="float64"):
        writer.write_image("/camera", START, np.zeros((2, 2)), "cam")


def test_clip_from_a_bag(bag):
    frames = list(open_clip(bag, 15.0, "/camera", "/labels"))
    assert [frame.stamp_ns for frame in frames] == [START + k * NS // 15 for k in range(3)]
    assert [frame.labels.max() for frame in frames] == [0, 1, 2]
    with pytest.raises(ValueError, match="its image topics are"):
        open_clip(bag, 15.0, "/nothing")


def test_clip_from_a_folder_of_images_in_the_order_of_their_numbers(tmp_path):
    for k in (10, 2):
        cv2.imwrite(str(tmp_path / f"frame_{k}.png"), np.full((8, 8, 3), k, np.uint8))
    frames = list(open_clip(tmp_path, 10.0))
    assert [frame.image.max() for frame in frames] == [2, 10]
    assert [frame.stamp_ns for frame in frames] == [0, NS // 10]
    assert frames[0].labels is None


def test_clip_from_a_folder_with_labels(tmp_path):
    for folder, value in (("images", 90), ("labels", 3)):
        (tmp_path / folder).mkdir()
        shape = (8, 8, 3) if folder == "images" else (8, 8)
        cv2.imwrite(str(tmp_path / folder / "S_1.png"), np.full(shape, value, np.uint8))
    (frame,) = open_clip(tmp_path, 10.0)
    assert frame.image.max() == 90 and frame.labels.tolist() == [[3] * 8] * 8


def test_clip_from_a_video_file(tmp_path):
    path = tmp_path / "clip.mp4"
    with Mp4Writer(path, 10.0) as video:
        for value in (0, 200):
            video.write(np.full((32, 48, 3), value, np.uint8))
    frames = list(open_clip(path, 99.0))
    assert [frame.stamp_ns for frame in frames] == [0, NS // 10]
    assert frames[1].image.shape == (32, 48, 3)
    assert abs(int(frames[1].image.mean()) - 200) <= 3


def test_faulty_clips_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="no such clip"):
        open_clip(tmp_path / "missing", 15.0)
    with pytest.raises(ValueError, match="no image"):
        open_clip(tmp_path, 15.0)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"text\.mp4"):
        list(open_clip(tmp_path / "text.mp4", 15.0))
    (tmp_path / "x.mcap").write_bytes(b"")
    with pytest.raises(ValueError, match="expected an MCAP or sqlite3 file, it begins with no"):
        open_clip(tmp_path / "x.mcap", 15.0)
    (tmp_path / "x.bag").write_bytes(b"#ROSBAG V2.0")
    with pytest.raises(ValueError, match="a bag of ROS 1: `rosbags-convert"):
        open_clip(tmp_path / "x.bag", 15.0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"a\.png"):
        list(open_clip(tmp_path / "broken", 15.0))
    with pytest.raises(ValueError, match="rate_hz"):
        open_clip(tmp_path / "broken", 0.0)


def test_wide_frames_are_shrunk_with_their_labels(tmp_path, bag):
    (frame, *_) = fit(open_clip(bag, 15.0, "/camera", "/labels"), 20)
    assert frame.image.shape == (12, 20, 3) and frame.labels.shape == (12, 20)


def test_numbers_in_names_are_compared_as_numbers(tmp_path):
    names = ["a10", "a9", "b1", "a9b2", "7"]
    ordered = sorted((tmp_path / f"{name}.png" for name in names), key=by_number)
    assert [path.stem for path in ordered] == ["7", "a9", "a9b2", "a10", "b1"]


def test_gaps_and_sizes_begin_anew_in_the_results(tmp_path, capsys):
    """Twelve frames in three pieces: no pair or window reaches from one into the next."""
    checkpoint = tmp_path / "model.safetensors"
    write_vit_s_checkpoint(checkpoint)
    rng = np.random.default_rng(0)
    with BagWriter(tmp_path / "bag") as writer:
        for k in range(12):
            stamp = START + k * NS // 10 + (5 * NS if k >= 4 else 0)
            shape = (24, 40) if k >= 8 else (24, 32)
            writer.write_image("/camera", stamp, rng.integers(0, 255, (*shape, 3), np.uint8), "c")
            writer.write_image("/labels", stamp, np.zeros(shape, np.uint8), "c")
    words = ["segment", tmp_path / "bag", "--topic", "/camera", "--labels-topic", "/labels"]
    words += ["--checkpoint", checkpoint, "--out", tmp_path / "out", "--json"]
    assert main([str(word) for word in words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["resets"] == {"start": 1, "gap": 1, "image_size": 1}
    assert report["vc8"]["windows"] == 0 and report["masks_received"] == 12
    frames = list(open_clip(tmp_path / "out" / "segmentation.mp4", 10.0))
    assert len(frames) == 12 and len({frame.image.shape for frame in frames}) == 1


def test_compressed_images_are_images(tmp_path):
    image = np.full((16, 24, 3), (200, 30, 90), np.uint8)
    store = typestore()
    header = store.types["std_msgs/msg/Header"](
        stamp=store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=5), frame_id="c"
    )
    kind = "sensor_msgs/msg/CompressedImage"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/camera", kind, typestore=store)
        for data in (cv2.imencode(".png", image[..., ::-1])[1], np.zeros(9, np.uint8)):
            message = store.types[kind](header=header, format="png", data=data)
            writer.write(connection, START, store.serialize_cdr(message, kind))
    images = read_images(tmp_path / "bag", "/camera")
    stamp_ns, _, pixels = next(images)
    assert stamp_ns == NS + 5 and np.array_equal(pixels, image)
    with pytest.raises(ValueError, match="image 1 on /camera: data: expected a JPEG or PNG"):
        next(images)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--device", "gpu"),
            "device: expected auto, cpu, cuda or cuda:<number>, or, of an export, t",
        ),
        (("--frames", "-1"), "--frames: expected at least 1, got -1"),
        (("--out", __file__), "is a file or lies in one; name a folder"),
    ],
)
def test_what_is_wrong_with_arguments_is_said(bag, capsys, words, sentence):
    assert main(["segment", str(bag), "--topic", "/camera", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_changed_bytes_of_a_bag_are_found(tmp_path):
    """By the checksums that MCAP keeps; rosbags writes none, `ros2 bag record` does."""
    path = tmp_path / "bag_0.mcap"
    with path.open("wb") as stream:
        writer = McapWriter(stream, compression=CompressionType.NONE)
        writer.start()
        channel = writer.register_channel("/camera", "cdr", writer.register_schema("x", "", b""))
        writer.add_message(channel, 1, bytes(5000), 1)
        writer.finish()
    Bag(tmp_path).check_crcs()
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"bag_0\.mcap is damaged"):
        Bag(tmp_path).check_crcs()


def test_clip_rate():
    assert clip_rate([0, NS // 10, 2 * NS // 10, NS], 15.0) == pytest.approx(10)
    assert clip_rate([5], 15.0) == clip_rate([], 15.0) == clip_rate([5, 5], 15.0) == 15.0


def test_masks_of_a_bag_are_repeatable_to_the_bit(tmp_path, bag, capsys):
    checkpoint = tmp_path / "small.safetensors"
    write_vit_s_checkpoint(checkpoint)
    words = ["segment", str(bag), "--topic", "/camera", "--labels-topic", "/labels", "--json"]
    words += ["--checkpoint", str(checkpoint)]
    reports = []
    for run in ("one", "two"):
        assert main([*words, "--out", str(tmp_path / run)]) == 0
        reports.append(json.loads(capsys.readouterr().out))
        assert (tmp_path / run / "segmentation.mp4").stat().st_size > 500
    first, second = reports
    for key in ("masks_sha256", "flicker", "miou"):
        assert first[key] == second[key] is not None
    assert (first["frames_sent"], first["masks_received"], first["dropped"]) == (3, 3, 0)
    strips = [(tmp_path / run / "timeline.png").read_bytes() for run in ("one", "two")]
    assert strips[0] == strips[1]


def test_the_topics_that_there_are_are_named(bag, capsys):
    assert main(["segment", str(bag), "--topic", "/front"]) == 2
    assert "/camera (3), /labels (3)" in capsys.readouterr().err
