# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Files of anybody's: each is read, or refused with one clear sentence before memory is taken."""

from __future__ import annotations

import io
import json
import pickle
import random
import resource
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fault_scale import note, size
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.checkpoint import SHIPPED, load_checkpoint
from t2g_core.config import load_config
from t2g_core.images.encodings import decompress
from t2g_core.images.files import read_image
from t2g_core.recordings.bag import BagWriter
from t2g_core.recordings.clip_source import open_clip
from t2g_core.recordings.pictures import Mp4Writer
from t2g_core.text_files import read_text

GIGABYTE = 2**30


@contextmanager
def memory_bounded(most: int = 2 * GIGABYTE):
    """No more address space than so many bytes above what is taken now."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("files") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


def header_of(data: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header: object, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_config(data: bytes, **changes) -> bytes:
    """A checkpoint whose config says something else."""
    header, body = header_of(data)
    config = json.loads(header["__metadata__"]["config"])
    for name, value in changes.items():
        section, _, key = name.rpartition("__")
        (config[section] if section else config)[key] = value
    header["__metadata__"]["config"] = json.dumps(config)
    return with_header(header, body)


class Touch:
    """A pickle that leaves a file behind where anybody loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


ABSURD = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "random": lambda data: random.Random(0).randbytes(5000),
    "a header of 2^60 bytes": lambda data: struct.pack("<Q", 2**60) + data[8:],
    "a header that is no JSON": lambda data: struct.pack("<Q", 20) + b"x" * 20 + data,
    "a header of lists": lambda data: with_header([[[]]] * 50, b""),
    "a header without anything": lambda data: with_header({}, b""),
    "foreign": lambda data: with_header(
        {"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8
    ),
    "a tensor of 2^50 numbers": lambda data: with_header(
        {"weight": {"dtype": "F32", "shape": [2**50], "data_offsets": [0, 2**52]}}, b""
    ),
    "a billion queries": lambda data: with_config(data, time2general__num_queries=10**9),
    "a billion blocks": lambda data: with_config(data, time2general__num_blocks=10**9),
    "a width of minus one": lambda data: with_config(data, time2general__dim=-1),
    "a width that is text": lambda data: with_config(data, time2general__dim="many"),
    "no heads": lambda data: with_config(data, time2general__heads=0),
    "images of a million by a million": lambda data: with_config(
        data, input_size=[16 * 10**6, 16 * 10**6]
    ),
    "a length of not a number": lambda data: with_config(
        data, time2general__depth_gate_rate=float("nan")
    ),
    "another encoder": lambda data: with_config(data, encoder__model="no_such_net"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_a_checkpoint_that_is_none_is_refused_with_a_sentence(small, tmp_path, name):
    path = tmp_path / "model.safetensors"
    path.write_bytes(ABSURD[name](small.read_bytes()))
    with memory_bounded(), pytest.raises(ValueError, match="model.safetensors") as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 2000


def test_a_pickle_is_never_loaded(tmp_path):
    left = tmp_path / "left"
    for name in ("model.safetensors", "model.pt", "model.pth"):
        (tmp_path / name).write_bytes(pickle.dumps(Touch(left)))
        with pytest.raises(ValueError, match=name):
            load_checkpoint(tmp_path / name)
    assert not left.exists()


def test_mutated_copies_of_the_shipped_checkpoint(tmp_path):
    """Each is a whole model or a sentence; what is loaded has only finite weights."""
    data, path, rng = SHIPPED.read_bytes(), tmp_path / "model.safetensors", random.Random(0)
    (length,) = struct.unpack("<Q", data[:8])
    expected = {name: tensor.shape for name, tensor in load_file(SHIPPED).items()}
    refused, loaded = 0, 0
    for number in range(size(200, 20)):
        mutated = bytearray(data)
        end = length + 8 if number % 2 else len(data)  # every second one in its header alone
        for _ in range(rng.choice((1, 3, 30))):
            mutated[rng.randrange(end)] = rng.randrange(256)
        if number % 10 == 9:
            mutated = mutated[: rng.randrange(len(data))]
        path.write_bytes(mutated)
        try:
            with memory_bounded():
                found = load_checkpoint(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
            continue
        loaded += 1
        assert {name: tensor.shape for name, tensor in found.trained.items()} == expected
        assert all(bool(tensor.isfinite().all()) for tensor in found.trained.values())
    note(
        f"{refused + loaded} mutated copies of the shipped checkpoint",
        f"{refused} refused with a sentence, {loaded} loaded whole with finite weights",
    )
    assert refused and loaded


def png(width: int, height: int) -> bytes:
    """A picture of so many black pixels, which a few kilobytes hold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(b"\0" * 10_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_a_picture_of_gigapixels_is_refused_by_its_header(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side))
    with memory_bounded(GIGABYTE), pytest.raises(ValueError, match="pixels|picture"):
        decompress(path.read_bytes(), "png")
    with memory_bounded(GIGABYTE), pytest.raises(ValueError, match="bomb.png"):
        read_image(path)


def picture_bytes(kind: str) -> bytes:
    rng, stream = np.random.default_rng(0), io.BytesIO()
    pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@settings(max_examples=size(1000, 60), deadline=None)
@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG", "BMP", "TIFF"]))
def test_mutated_pictures_are_pictures_or_sentences(tmp_path_factory, data, kind):
    content = bytearray(picture_bytes(kind))
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        content[place] = value
    content = bytes(content[: data.draw(st.integers(0, len(content)))])
    path = tmp_path_factory.getbasetemp() / f"mutated.{kind.lower()}"
    path.write_bytes(content)
    for read in (lambda: read_image(path), lambda: decompress(content, kind.lower())):
        try:
            image = read()
        except ValueError as error:
            assert str(error)
        else:
            assert image.dtype == np.uint8 and image.shape[2] == 3


@settings(max_examples=size(1000, 50), deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_as_a_file_of_each_kind(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    for name in (
        "any.png",
        "any.mp4",
        "any.mcap",
        "any.db3",
        "any.safetensors",
        "any.txt",
        "any.yaml",
    ):
        path = folder / name
        path.write_bytes(content)
        read = {
            ".png": read_image,
            ".safetensors": load_checkpoint,
            ".txt": read_text,
            ".yaml": load_config,
        }.get(path.suffix, lambda path: list(open_clip(path, 15.0)))
        try:
            read(path)
        except ValueError as error:
            assert str(error)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, bytes]:
    """A video and bags of both kinds, five frames each."""
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    with Mp4Writer(folder / "clip.mp4", 10.0) as video:
        for image in images:
            video.write(image)
    found = {"clip.mp4": (folder / "clip.mp4").read_bytes()}
    for sqlite, name in ((False, "bag.mcap"), (True, "bag.db3")):
        with BagWriter(folder / name, sqlite=sqlite) as writer:
            for number, image in enumerate(images):
                writer.write_image("/image", 10**9 + number * 10**8, image, "camera")
        (file,) = [p for p in (folder / name).iterdir() if p.suffix in (".mcap", ".db3")]
        found[name] = file.read_bytes()
    return found


@pytest.mark.parametrize("name", ["clip.mp4", "bag.mcap", "bag.db3"])
def test_mutated_recordings_are_frames_or_sentences(recordings, tmp_path, name):
    data, path, rng = recordings[name], tmp_path / name, random.Random(2)
    refused, frames = 0, 0
    for number in range(size(200, 15)):
        content = bytearray(data)
        for _ in range(rng.choice((1, 4, 40))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if number % 5 == 4:
            content = content[: rng.randrange(len(content))]
        path.write_bytes(content)
        try:
            with memory_bounded():
                for frame in open_clip(path, 15.0):
                    assert frame.image.dtype == np.uint8 and frame.image.ndim == 3
                    frames += 1
        except ValueError as error:
            assert str(error)
            refused += 1
    note(
        f"{size(200, 15)} mutated copies of a {Path(name).suffix[1:]} recording of five frames",
        f"{refused} end with a sentence, {frames} frames read",
    )
