# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Video files as cameras, phones and editors leave them."""

from __future__ import annotations

import json
import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.cli import main
from t2g_core.recordings.clip_source import open_clip, usual_rate

NS = 1_000_000_000
# Display matrices a, b, c, d by the turn that shows the picture upright.
TURNS = {
    "none": ((1, 0, 0, 1), lambda image: image),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "anticlockwise": ((0, -1, 1, 0), np.rot90),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "upside down": ((1, 0, 0, -1), np.flipud),
}


def write_video(path, frames=20, codec="libx264", times=None, **options) -> None:
    """Noise of 64x48; `times` in milliseconds, else 10 a second."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10, options={"g": "5", "bf": "0"})
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(frames):
            picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            picture[:24, :32] = 250  # the upper left corner is white
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def seconds(path) -> list[float]:
    return [round(frame.stamp_ns / NS, 3) for frame in open_clip(path, 15.0)]


@pytest.mark.parametrize("turn", TURNS)
def test_a_phones_picture_stands_upright(tmp_path, turn):
    write_video(tmp_path / "stored.mp4", frames=2)
    matrix, upright = TURNS[turn]
    data = bytearray((tmp_path / "stored.mp4").read_bytes())
    at = data.index(b"tkhd") + 44  # its matrix, 16.16 fixed point: a b u, c d v, x y w
    a, b, c, d = (int.to_bytes(v * 65536, 4, "big", signed=True) for v in matrix)
    data[at : at + 20] = a + b + bytes(4) + c + d
    (tmp_path / "phone.mp4").write_bytes(data)
    stored = next(open_clip(tmp_path / "stored.mp4", 15.0)).image
    shown = next(open_clip(tmp_path / "phone.mp4", 15.0)).image
    np.testing.assert_array_equal(shown, upright(stored))


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.avi", "x.ts"])
def test_a_cut_file_gives_its_whole_frames_and_a_warning(tmp_path, caplog, name):
    options = {"movflags": "faststart"} if name == "x.mp4" else {}
    codec = "mpeg4" if name == "x.avi" else "libx264"
    write_video(tmp_path / name, codec=codec, **options)
    assert len(seconds(tmp_path / name)) == 20 and not caplog.messages
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 6 // 10])
    with caplog.at_level(logging.WARNING):
        found = seconds(tmp_path / name)
    assert 3 <= len(found) < 16
    assert f"its {len(found)} whole frames are read" in caplog.messages[-1]


def test_a_recording_that_was_never_ended_is_named(tmp_path):
    write_video(tmp_path / "x.mp4")
    data = (tmp_path / "x.mp4").read_bytes()
    (tmp_path / "x.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"x\.mp4 as a video: .* its recording was not ended"):
        seconds(tmp_path / "x.mp4")


def test_a_headers_number_of_frames_is_not_believed(tmp_path, caplog):
    """As after a trim without decoding: the header counts frames that are not shown."""
    write_video(tmp_path / "x.avi", codec="mpeg4")
    data = bytearray((tmp_path / "x.avi").read_bytes())
    at = data.index(b"strh") + 8 + 32  # dwLength of the stream's header
    assert int.from_bytes(data[at : at + 4], "little") == 20
    data[at : at + 4] = (30).to_bytes(4, "little")
    (tmp_path / "x.avi").write_bytes(data)
    assert len(seconds(tmp_path / "x.avi")) == 20
    assert not caplog.messages


@pytest.mark.parametrize(
    ("times", "rate"), [([0, 1, 67, 133, 199, 265], 15.15), ([0, 2500, 2533, 2566, 2599], 30.3)]
)
def test_each_frame_has_its_own_time(tmp_path, times, rate):
    write_video(tmp_path / "x.mkv", frames=len(times), times=times)
    assert seconds(tmp_path / "x.mkv") == [t / 1000 for t in times]
    assert usual_rate(tmp_path / "x.mkv", 15.0) == pytest.approx(rate, abs=0.1)


def test_a_raw_stream_goes_at_its_own_rate(tmp_path):
    write_video(tmp_path / "x.h264")
    assert seconds(tmp_path / "x.h264")[:3] == [0.0, 0.1, 0.2]
    assert usual_rate(tmp_path / "x.h264", 15.0) == 10


def test_what_was_segmented_before_an_error_is_written(tmp_path, capsys):
    """Here an image of a folder that is cut."""
    from PIL import Image

    (tmp_path / "clip").mkdir()
    for k in range(3):
        image = np.full((48, 64, 3), 80 * k, np.uint8)
        Image.fromarray(image).save(tmp_path / "clip" / f"{k}.png")
    path = tmp_path / "clip" / "2.png"
    path.write_bytes(path.read_bytes()[:-40])
    write_vit_s_checkpoint(tmp_path / "small.safetensors")
    words = ["segment", str(tmp_path / "clip"), "--checkpoint", str(tmp_path / "small.safetensors")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "2.png is not a whole picture" in said and "the results of 2 frames before" in said
    report = json.loads((tmp_path / "clip_t2g" / "report.json").read_text())
    assert report["masks_received"] == 2 and "2.png" in report["error"]
    assert (tmp_path / "clip_t2g" / "segmentation.mp4").stat().st_size > 300
