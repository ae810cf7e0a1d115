# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Masks as shards of a WebDataset and back in a bag, read by what others read them with."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import webdataset
from PIL import Image
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.cli import main
from t2g_core.recordings.bag import typestore

NS = 1_000_000_000
START = 1_700_000_000 * NS
LATCHED = (
    "- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n  deadline: {sec: 0, nsec: 0}\n"
    "  lifespan: {sec: 0, nsec: 0}\n  liveliness: 1\n"
    "  liveliness_lease_duration: {sec: 0, nsec: 0}\n  avoid_ros_namespace_conventions: false\n"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


def write_drive(path, plugin: StoragePlugin, images: int = 3):
    """Images, a topic of a type that nobody here knows, and a latched one between them."""
    wheels = "float32[4] speed\n"
    store = typestore({"maker_msgs/msg/Wheels": wheels})
    types, text = store.types, "std_msgs/msg/String"
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        camera = writer.add_connection("/camera", "sensor_msgs/msg/Image", typestore=store)
        unknown = writer.add_connection("/wheels", "maker_msgs/msg/Wheels", typestore=store)
        qos = parse_qos(LATCHED)
        latched = writer.add_connection("/robot", text, typestore=store, offered_qos_profiles=qos)
        writer.write(latched, START, store.serialize_cdr(types[text]("r"), text))
        for k in range(images):
            time_ns = START + k * NS // 10
            stamp = types["builtin_interfaces/msg/Time"](sec=time_ns // NS, nanosec=time_ns % NS)
            image = types["sensor_msgs/msg/Image"](
                header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="front_optical"),
                height=48,
                width=64,
                encoding="rgb8",
                is_bigendian=0,
                step=192,
                data=np.random.default_rng(k).integers(0, 256, 48 * 64 * 3, dtype=np.uint8),
            )
            cdr = store.serialize_cdr(image, "sensor_msgs/msg/Image")
            writer.write(camera, time_ns + 5_000_000, cdr)  # recorded five milliseconds later
            speeds = types["maker_msgs/msg/Wheels"](speed=np.full(4, k, np.float32))
            cdr = store.serialize_cdr(speeds, "maker_msgs/msg/Wheels")
            writer.write(unknown, time_ns + 7_000_000, cdr)
    return path


def messages_of(bag) -> list[tuple]:
    with AnyReader([bag]) as reader:
        return [
            (c.topic, c.msgtype, time_ns, bytes(data)) for c, time_ns, data in reader.messages()
        ]


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_masks_go_back_beside_the_topics_of_a_bag(plugin, checkpoint, tmp_path, capsys):
    source = write_drive(tmp_path / "drive", plugin)
    words = ["segment", source, "--checkpoint", checkpoint, "--write", "bag,masks"]
    assert main([str(word) for word in words]) == 0
    out = tmp_path / "drive_t2g"
    before, after = messages_of(source), messages_of(out / "bag")
    ours = ("/segmenter/mask", "/segmenter/label_info")
    assert [message for message in after if message[0] not in ours] == before
    with AnyReader([out / "bag"]) as reader:
        found = reader.topics
        assert found["/wheels"].msgtype == "maker_msgs/msg/Wheels"
        (robot,) = found["/robot"].connections
        assert robot.ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL
        assert "float32[4] speed" in found["/wheels"].connections[0].msgdef.data
        masks = [
            (time_ns, reader.deserialize(data, c.msgtype))
            for c, time_ns, data in reader.messages(found["/segmenter/mask"].connections)
        ]
        ((_, _, labels),) = reader.messages(found["/segmenter/label_info"].connections)
        labels = reader.deserialize(labels, "vision_msgs/msg/LabelInfo")
    assert [c.class_name for c in labels.class_map][:2] == ["sky", "building"]
    for k, (time_ns, mask) in enumerate(masks):
        stamp = mask.header.stamp.sec * NS + mask.header.stamp.nanosec
        assert (stamp, time_ns) == (START + k * NS // 10, START + k * NS // 10 + 5_000_000)
        assert (mask.header.frame_id, mask.encoding) == ("front_optical", "mono8")
        with Image.open(out / "masks" / f"{k:06d}.png") as png:
            np.testing.assert_array_equal(np.asarray(png).ravel(), mask.data)
    assert len(masks) == 3 and (out / "report.html").is_file()
    assert (
        not (out / "segmentation.mp4").exists()
        and "<video" not in (out / "report.html").read_text()
    )
    again = [*words[:1], out / "bag", *words[2:], "--topic", "/camera"]
    assert main([str(word) for word in again]) == 2
    assert "has /segmenter/label_info and /segmenter/mask already" in capsys.readouterr().err


def test_the_first_frames_of_a_bag_are_not_followed_by_a_copy_of_the_rest(checkpoint, tmp_path):
    source = write_drive(tmp_path / "drive", StoragePlugin.MCAP)
    words = ["segment", source, "--checkpoint", checkpoint, "--write", "bag", "--frames", 1]
    for _ in range(2):  # the second call takes the place of the first
        assert main([str(word) for word in words]) == 0
    topics = [message[0] for message in messages_of(tmp_path / "drive_t2g" / "bag")]
    assert sorted(topics) == ["/camera", "/robot", "/segmenter/label_info", "/segmenter/mask"]


def test_masks_are_shards_that_webdataset_reads(checkpoint, tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"cam.{k}.png")
    words = ["segment", folder, "--checkpoint", checkpoint, "--rate", 10, "--write", "shards,masks"]
    assert main([str(word) for word in words]) == 0
    out = tmp_path / "drive_t2g"
    shards = sorted(map(str, (out / "shards").glob("*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["cam_0", "cam_1", "cam_2"]
    for k, sample in enumerate(samples):
        assert json.loads(sample["json"]) == {"stamp_ns": k * NS // 10}
        assert sample["png"] == (out / "masks" / f"cam.{k}.png").read_bytes()
        assert Image.open(io.BytesIO(sample["png"])).mode == "P"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--write", "bag"], "drive is no bag"),
        (["--write", "masks,tar"], "expected some of masks, shards, bag, video, got 'masks,tar'"),
    ],
)
def test_an_output_that_cannot_be_is_refused(words, sentence, checkpoint, tmp_path, capsys):
    folder = tmp_path / "drive"
    folder.mkdir()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / "a.png")
    try:
        code = main(["segment", str(folder), "--checkpoint", str(checkpoint), *words])
    except SystemExit as stop:
        code = stop.code
    assert code == 2 and sentence in capsys.readouterr().err
