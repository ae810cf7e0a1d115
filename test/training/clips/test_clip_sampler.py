# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training clips: geometry once a clip, distortion a frame, the same clip for the same number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_model import TRAIN
from small_runs import brightness_videos

from t2g_core.config import load_config
from t2g_core.data.video import cut_at_gaps
from t2g_core.images.model_input import fit_size
from t2g_core.labels import IGNORE_INDEX
from t2g_core.training.clips.augment import (
    DISTORTIONS,
    Crop,
    apply_crop,
    camera_move,
    distort,
    distort_clip,
    draw_crop,
    draw_photometric,
    photometric,
    photometric_tensor,
)
from t2g_core.training.clips.sampler import ClipSampler, clips_at, draw_point, draw_window

SIZE = (96, 64)  # at inference
CONFIGS = Path(__file__).parents[3] / "config"


def test_a_clip_depends_on_seed_and_number_alone(tmp_path):
    videos = brightness_videos(tmp_path)
    first, second = ClipSampler(videos, TRAIN, SIZE), ClipSampler(videos, TRAIN, SIZE)
    second(3)  # having drawn others changes nothing
    for a, b in zip(first(7), second(7), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first(7).images, first(8).images)
    assert not np.array_equal(
        first(7).images, ClipSampler(videos, replace(TRAIN, seed=1), SIZE)(7).images
    )


@pytest.mark.parametrize(("stride", "step_s"), [(0, 1 / 15), (1, 1.0), (2, 2.0)])
def test_a_clip_says_how_far_its_frames_are_apart(stride, step_s, tmp_path):
    """Of a virtual move as of a usual camera, of others by the video's rate, here 1 Hz."""
    sampler = ClipSampler(brightness_videos(tmp_path), replace(TRAIN, strides=(stride,)), SIZE)
    assert sampler(0).step_s == pytest.approx(step_s)


def test_a_point_is_of_every_class_alike_and_a_crop_around_it_holds_it():
    label = np.zeros((60, 90), np.uint8)
    label[10, 80], label[:5] = 4, IGNORE_INDEX
    rng, seen = np.random.default_rng(0), []
    for _ in range(200):
        x, y = draw_point(rng, label)
        assert 0 < x < 1 and 5 / 60 < y < 1
        seen.append(label[int(y * 60), int(x * 90)])
        crop = draw_crop(rng, (1.1, 2.0), (48, 32), (90, 60), SIZE, around=(x, y))
        assert crop.left <= x <= crop.left + crop.width
        assert crop.top <= y <= crop.top + crop.height
        assert 0 <= crop.left <= 1 - crop.width and 0 <= crop.top <= 1 - crop.height
    assert 70 < seen.count(4) < 130 and seen.count(0) + seen.count(4) == 200
    assert draw_point(rng, np.full((4, 4), IGNORE_INDEX, np.uint8)) is None


def test_virtual_moves_are_as_far_as_their_time_says(tmp_path):
    videos = brightness_videos(tmp_path)
    sampler = ClipSampler(videos, replace(TRAIN, strides=(0,), move_steps=(1, 5)), SIZE)
    assert {round(15 * sampler(i).step_s) for i in range(12)} == {1, 5}
    crop = Crop(0.3, 0.3, 0.3, 0.3, flip=False)
    slow, fast = (camera_move(np.random.default_rng(2), crop, 6, pace) for pace in (1, 5))
    assert fast[1].width == pytest.approx(slow[5].width)  # five steps of one are one of five
    assert fast[1].width < slow[1].width < crop.width


def test_images_and_labels_are_cut_alike():
    """Nearest neighbour on both: the picture stays the picture of its label."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 11, (60, 90), dtype=np.uint8)
    for _ in range(20):
        crop = draw_crop(rng, (1.1, 2.0), SIZE, (90, 60), SIZE)
        cut = apply_crop(label, crop, (96, 64), label=True)
        picture = apply_crop(cv2.merge([label * 20] * 3), crop, (96, 64), label=True)
        assert np.array_equal(picture[..., 0], cut * 20)


def test_crop_by_hand():
    label = np.arange(16, dtype=np.uint8).reshape(4, 4)
    cut = apply_crop(label, Crop(0.5, 0.0, 0.5, 0.5, flip=False), (2, 2), label=True)
    assert cut.tolist() == [[2, 3], [6, 7]]
    flipped = apply_crop(label, Crop(0.5, 0.0, 0.5, 0.5, flip=True), (2, 2), label=True)
    assert flipped.tolist() == [[3, 2], [7, 6]]


def test_geometry_is_drawn_once_a_clip(tmp_path):
    """At stride 1 a clip of identical frames has identical labels."""
    videos = brightness_videos(tmp_path)
    same = [replace(videos[0], frames=(videos[0].frames[0],) * 6)]
    labels = ClipSampler(same, replace(TRAIN, strides=(1,)), SIZE)(0).labels
    assert all(np.array_equal(labels[0], other) for other in labels[1:])


def test_stride_0_is_a_slow_move_inside_the_frame():
    rng = np.random.default_rng(0)
    for _ in range(50):
        boxes = camera_move(rng, draw_crop(rng, (1.1, 2.0), SIZE, (90, 60), SIZE), 5)
        for a, b in zip(boxes, boxes[1:], strict=False):
            assert 0.97 * a.width <= b.width <= a.width
            assert abs(b.left + b.width / 2 - a.left - a.width / 2) < 0.03
        assert all(0 <= b.left <= b.left + b.width <= 1 + 1e-9 for b in boxes)


def starts(sampler, stride: int) -> list[int]:
    """Positions of the clips' first frames in the only video."""
    return [(frames[0].number - 6690) // 30 for frames, _ in sampler.clips[stride]]


def test_a_clip_steps_over_holes_that_are_no_longer_than_its_stride(tmp_path):
    """As KITTI-360's lists have them: single frames without a label, and a long stretch."""
    (video,) = brightness_videos(tmp_path, frames=2)
    numbers = [*range(12), *range(13, 24), *range(40, 64)]
    frames = [replace(video.frames[0], number=n) for n in numbers]
    videos = cut_at_gaps(frames, 10.0)
    assert [len(v.frames) for v in videos] == [12, 11, 24]
    found = [[f.number for f in clip] for clip, _ in clips_at(videos, 5, 3)]
    within = [[u, u + 5, u + 10] for u in (0, 1, 13, *range(40, 54))]
    across = [[u, u + 5, u + 10] for u in range(3, 12) if u + 5 != 12 and u + 10 != 12]
    assert found == within + [clip for clip in across if clip not in within]
    assert {step_s for _, step_s in clips_at(videos, 5, 3)} == {0.1}
    assert not [clip for clip, _ in clips_at(videos, 1, 2) if clip[1].number - clip[0].number > 1]


def test_strides_choose_the_frames(tmp_path):
    videos = brightness_videos(tmp_path)
    sampler = ClipSampler(videos, replace(TRAIN, strides=(2,), clip_frames=3), SIZE)
    assert starts(sampler, 2) == [0, 1]
    frames, step_s = sampler.draw_frames(np.random.default_rng(0), stride=2)
    assert np.diff([frame.number for frame in frames]).tolist() == [60, 60]
    assert step_s == 2.0


def test_videos_too_short_for_a_stride_are_an_error(tmp_path):
    videos = brightness_videos(tmp_path, frames=4)
    with pytest.raises(
        ValueError,
        match=r"no video holds 3 frames at strides \[2\], one of them with a label; longest: 4",
    ):
        ClipSampler(videos, replace(TRAIN, strides=(1, 2)), SIZE)


def test_crops_filled_by_one_class_are_drawn_again(tmp_path):
    videos = brightness_videos(tmp_path)
    for index in range(10):
        label = ClipSampler(videos, replace(TRAIN, max_class_share=0.5, strides=(1,)), SIZE)(
            index
        ).labels
        assert np.bincount(label[-1][label[-1] != 255]).max() < 0.6 * label[-1].size


@pytest.mark.parametrize("distortion", DISTORTIONS, ids=lambda d: d.__name__)
def test_each_distortion_changes_the_picture_and_keeps_it_a_picture(distortion):
    image = np.random.default_rng(0).random((48, 64, 3)).astype(np.float32)
    before = image.copy()
    changed = 0
    for seed in range(8):
        out = distortion(image, np.random.default_rng(seed))
        assert out.shape == image.shape
        assert np.isfinite(out).all()
        changed += not np.allclose(out, image)
    assert changed == 8
    assert np.array_equal(image, before)  # the input is left alone


def test_photometric_distortion_is_the_fields_and_once_a_clip():
    rng = np.random.default_rng(1)
    image = rng.uniform(0.2, 0.8, (24, 32, 3)).astype(np.float32)
    seen = []
    for _ in range(60):
        first, second = distort_clip([image, image], rng, "photometric")
        assert np.array_equal(first, second) and first.dtype == np.float32
        assert 0 <= first.min() <= first.max() <= 1
        seen.append(first)
    assert len({x.tobytes() for x in seen}) > 40  # some are left as they are
    assert any(np.allclose(x, image, atol=1e-3) for x in seen)
    grey = np.full((4, 4, 3), 0.5, np.float32)  # colours of grey cannot change: light and contrast
    drawn = [draw_photometric(np.random.default_rng(seed)) for seed in range(1000)]
    values = [photometric(grey, one).mean() for one in drawn]
    brightest, darkest = (0.5 + 32 / 255) * 1.5, (0.5 - 32 / 255) * 0.5
    assert darkest - 1e-3 <= min(values) < 0.25 and 0.85 < max(values) <= brightest + 1e-3


def test_no_filter_touches_a_photometric_clip():
    """A pixel's change depends on its colour alone: equal pixels stay equal, wherever they lie."""
    rng = np.random.default_rng(2)
    image = rng.random((2, 2, 3)).astype(np.float32).repeat(8, 0).repeat(8, 1)
    for seed in range(20):
        out = photometric(image, draw_photometric(np.random.default_rng(seed)))
        assert np.array_equal(out, out[::8, ::8].repeat(8, 0).repeat(8, 1))


def test_the_photometric_distortion_on_a_device_is_that_of_the_workers(device):
    """To one grey level of 255, over all colours."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    image = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, len(steps), 3)
    images = np.concatenate([image, image[..., ::-1]])
    kinds = set()
    for seed in range(60):
        drawn = draw_photometric(np.random.default_rng(seed))
        kinds.add((drawn.contrast_first, drawn.hue != 0, drawn.saturation != 1))
        there = photometric_tensor(torch.from_numpy(images).to(device), drawn).cpu().numpy()
        for one, other in zip(images, there, strict=True):
            here = (photometric(one.astype(np.float32) / 255, drawn) * 255).round()
            assert np.abs(here - other.astype(np.float32)).max() <= 1, drawn
    assert len(kinds) == 8


def test_harsh_distortion_changes_from_frame_to_frame_in_half_of_the_clips():
    image, rng = (
        np.random.default_rng(0).random((24, 32, 3)).astype(np.float32),
        np.random.default_rng(3),
    )
    pairs = [distort_clip([image, image], rng, "harsh") for _ in range(80)]
    differ = sum(not np.array_equal(*pair) for pair in pairs)
    assert 25 <= differ <= 55


def test_distorted_images_stay_in_range_and_repeat():
    image = np.random.default_rng(0).random((48, 64, 3)).astype(np.float32)
    for seed in range(30):
        out = distort(image, np.random.default_rng(seed))
        assert out.dtype == np.float32
        assert 0 <= out.min() <= out.max() <= 1
        assert np.array_equal(out, distort(image, np.random.default_rng(seed)))


def test_a_square_crop_of_a_wide_frame_is_square():
    circle = cv2.circle(np.zeros((50, 200), np.uint8), (100, 25), 12, 1, -1)
    cut = apply_crop(circle, Crop(0.375, 0.0, 0.25, 1.0, flip=False), (64, 64), label=True)
    rows, columns = np.flatnonzero(cut.any(axis=1)), np.flatnonzero(cut.any(axis=0))
    assert abs(len(rows) - len(columns)) <= 1


FRAMES = {  # width, height of the five data sets' images
    "camvid": (960, 720),
    "cityscapes": (2048, 1024),
    "kitti360": (1408, 376),
    "apolloscape": (3384, 2710),
    "own": (1920, 1080),
}


@pytest.mark.parametrize("name", ["paper_vits", "paper_vitb", "paper_vitl", "time2general_small"])
@pytest.mark.parametrize("data", FRAMES)
def test_a_crop_shows_things_at_about_the_size_they_have_at_inference(name, data):
    """Between half and twice of it, and the size itself is among them, whatever the data set."""
    config = load_config(CONFIGS / f"{name}.yaml")
    frame, rng = FRAMES[data], np.random.default_rng(0)
    inference = fit_size(frame, config.input_size)[0] / frame[0]
    size, zoom = config.train.crop_size, config.train.zoom
    crops = [draw_crop(rng, zoom, size, frame, config.input_size) for _ in range(200)]
    across = [size[0] / (crop.width * frame[0]) / inference for crop in crops]
    down = [size[1] / (crop.height * frame[1]) / inference for crop in crops]
    assert across == pytest.approx(down)
    assert 0.47 <= min(across) <= 1.05 and 1.5 <= max(across) <= 2.1  # fit_size rounds to 16


def test_beyond_the_frame_a_crop_is_black_and_void():
    rng = np.random.default_rng(0)
    for _ in range(20):  # KITTI-360's shape: higher than the frame, and the frame inside it
        crop = draw_crop(rng, (0.9, 1.0), (64, 64), (120, 32), (96, 48))
        assert crop.height > 1 and crop.top <= 0 <= 1 <= crop.top + crop.height
        assert 0 <= crop.left <= crop.left + crop.width <= 1
    image, label = np.full((32, 120, 3), 200, np.uint8), np.full((32, 120), 4, np.uint8)
    crop = Crop(0.25, -0.5, 0.5, 2.0, flip=False)
    cut, ids = (apply_crop(x, crop, (60, 64), x is label) for x in (image, label))
    assert (ids[:15] == 255).all() and (ids[17:47] == 4).all() and (ids[49:] == 255).all()
    assert (cut[:15] == 0).all() and (cut[17:47] == 200).all() and (cut[49:] == 0).all()


def sparse(videos, labelled):
    """The same video with a label on some frames only."""
    frames = [
        f if i in labelled else replace(f, label_path=None) for i, f in enumerate(videos[0].frames)
    ]
    return [replace(videos[0], frames=tuple(frames))]


def test_only_the_labelled_frames_of_a_sparse_clip_supervise(tmp_path):
    videos = sparse(brightness_videos(tmp_path, frames=8), {4})
    sampler = ClipSampler(videos, replace(TRAIN, strides=(1, 2), clip_frames=3), SIZE)
    assert starts(sampler, 1) == [2, 3, 4]
    assert starts(sampler, 2) == [0, 2]  # and not 4 + 2 * 2 > 7
    for index in range(8):
        labels = sampler(index).labels
        supervised = [t for t in range(3) if (labels[t] != 255).any()]
        assert supervised == sampler.labelled(index) and len(supervised) == 1


def test_a_window_of_a_sparse_clip_holds_a_label():
    rng = np.random.default_rng(0)
    assert {draw_window(rng, 5, 2, [3]) for _ in range(50)} == {2, 3}
    assert {draw_window(rng, 5, 1, [3]) for _ in range(5)} == {3}
    assert {draw_window(rng, 5, 2, [0, 1, 2, 3, 4]) for _ in range(50)} == {0, 1, 2, 3}


def test_strides_of_a_dense_source(tmp_path):
    """KITTI-360's strides on a drive of 170 frames: the whole clip is one stride, drawn once."""
    videos = brightness_videos(tmp_path, frames=2)
    frame = videos[0].frames[0]
    drive = [replace(videos[0], frames=tuple(replace(frame, number=n) for n in range(170)))]
    strides = (5, 10, 15, 20, 30, 40)
    sampler = ClipSampler(drive, replace(TRAIN, strides=strides, clip_frames=5), SIZE)
    seen = set()
    for index in range(60):
        _, (frames, step_s), stride = sampler._begin(index)
        assert step_s == stride * drive[0].step_s
        assert np.diff([f.number for f in frames]).tolist() == [stride] * 4
        seen.add(stride)
    assert seen == set(strides)


def test_a_crop_without_a_label_is_drawn_again(tmp_path):
    """All but one corner is void: of 40 clips, without another draw, most would see nothing."""
    videos = brightness_videos(tmp_path)
    corner = np.full((60, 90), 11, np.uint8)
    corner[:12, :18] = 3
    for frame in videos[0].frames:
        cv2.imwrite(str(frame.label_path), corner)
    sampler = ClipSampler(videos, replace(TRAIN, zoom=(1.7, 2.0), strides=(1,)), SIZE)
    labelled = [(sampler(i).labels != 255).any() for i in range(40)]
    assert np.mean(labelled) > 0.95
