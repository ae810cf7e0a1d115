# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What an iteration sees: lengths, windows and mirroring, and that encoded frames are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import small_config, small_method, stages
from small_runs import brightness_videos

from t2g_core.data.camvid import read_label
from t2g_core.images.model_input import PATCH
from t2g_core.processes import Share
from t2g_core.training.clips.batches import TrainingBatches, window_start
from t2g_core.training.clips.kept_clips import PlainFrames, TrainingClip, cut
from t2g_core.training.source import Fingerprints

FINGERPRINTS = Fingerprints("camvid", "f", "w")


@pytest.fixture(scope="module")
def method():
    return small_method()


def other_method():
    method = small_method()
    torch.manual_seed(7)
    method.encoder = small_config().build_encoder()
    return method


def batches(root, method, **changes) -> TrainingBatches:
    config = small_config()
    config = replace(config, train=replace(config.train, **changes))
    return TrainingBatches(
        brightness_videos(root), method, config, root / "cache", "cpu", FINGERPRINTS
    )


def tensors(clip: TrainingClip) -> list[torch.Tensor]:
    found = [clip.images, clip.labels, clip.step_s, *clip.features, clip.motion_images]
    return [tensor for tensor in found if tensor is not None]


def shapes(batch: list[TrainingClip]) -> tuple[int, int]:
    return len(batch), batch[0].labels.shape[0]


@pytest.mark.parametrize("plain_share", [0.0, 1.0])
def test_short_clips_come_several_at_a_time(tmp_path, method, plain_share):
    stage = stages(12, plain_share=plain_share, frames_per_step=4)
    draw = batches(tmp_path, method, stages=stage)
    seen = {shapes(draw(i)) for i in range(12)}
    assert seen == {(4, 1), (2, 2), (1, 3)}
    for clip in draw(0):
        frames = clip.labels.shape[0]
        assert clip.labels.shape == (frames, 64, 96)
        assert [maps.shape for maps in clip.features] == [(frames, 4, 6, 192)] * 4


@pytest.mark.parametrize("iterations", [6, 40])
def test_processes_fill_the_cache_with_different_parts_of_what_a_run_reads(
    tmp_path, method, iterations
):
    """Of a short run the distorted clips; of a long one all whole frames too, as both ways."""

    def made(draw: TrainingBatches) -> set[str]:
        folders = (draw.distorted.folder, draw.plain.folder)
        return {f"{path.parent.name}/{path.name}" for f in folders for path in f.iterdir()}

    stage = {"stages": stages(iterations, plain_share=0.5), "cached_clips": 3}
    parts = []
    for index in range(2):
        draw = batches(tmp_path / str(index), method, **stage)
        draw.fill(0, Share(index, 2))
        parts.append(made(draw))
    whole = batches(tmp_path / "whole", method, **stage)
    for number in range(iterations):
        whole(number)
    assert parts[0] and parts[1] and not parts[0] & parts[1]
    filled, read = parts[0] | parts[1], made(whole)
    distorted = whole.distorted.folder.name
    assert {n for n in read if distorted in n} == {n for n in filled if distorted in n}
    if iterations == 40:
        assert len(filled - read) <= 2 and read <= filled


def test_clips_of_one_length_fill_the_budget_exactly(tmp_path, method):
    """The paper's four clips of five frames; drawn lengths would make six of them on average."""
    stage = stages(12, plain_share=0.0, frames_per_step=12, random_length=False)
    draw = batches(tmp_path, method, stages=stage)
    assert {shapes(draw(i)) for i in range(4)} == {(4, 3)}


def test_of_a_clip_that_is_not_kept_only_the_window_is_encoded(tmp_path, method, monkeypatch):
    draw = batches(
        tmp_path, method, cached_clips=0, stages=stages(12, plain_share=0.0, frames_per_step=1)
    )
    seen, encode = [], method.frozen_features
    monkeypatch.setattr(
        method, "frozen_features", lambda images: seen.append(len(images)) or encode(images)
    )
    lengths = [shapes(draw(i))[1] for i in range(6)]
    assert seen == lengths and min(lengths) < 3


@pytest.mark.parametrize("plain_share", [0.0, 1.0])
def test_motion_is_looked_for_in_clips_of_several_frames_alone(tmp_path, method, plain_share):
    draw = batches(tmp_path, method, stages=stages(12, plain_share=plain_share))
    seen = set()
    for clip in (clip for i in range(12) for clip in draw(i)):
        frames = len(clip.labels)
        seen.add(frames > 1)
        assert (clip.motion_images is not None) == (frames > 1)
        assert frames == 1 or clip.motion_images.shape == (frames, 32, 48)
    assert seen == {True, False}


def test_an_iteration_depends_on_its_number_alone(tmp_path, method):
    first, second = batches(tmp_path / "a", method), batches(tmp_path / "b", method)
    second(0)
    for one, other in zip(first(3), second(3), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(tensors(one), tensors(other), strict=True))
    different = [not torch.equal(first(i)[0].images, first(3)[0].images) for i in (0, 1, 2)]
    assert any(different)


def test_a_plain_frame_is_the_whole_frame_and_its_mirror_image(tmp_path, method):
    frame = brightness_videos(tmp_path)[0].frames[0]
    plain = PlainFrames(method, small_config(), tmp_path / "cache", "cpu", FINGERPRINTS)
    clip, mirrored = (plain(frame, mirrored=mirrored, moves=False) for mirrored in (False, True))
    assert clip.labels.shape == (1, 64, 96)
    assert set(np.unique(clip.labels)) <= set(np.unique(read_label(frame.label_path)))
    assert torch.equal(clip.labels.flip(2), mirrored.labels)
    assert not torch.equal(clip.features[0], mirrored.features[0])


def test_a_kept_frame_is_read_and_not_encoded_again(tmp_path, method):
    frame = brightness_videos(tmp_path)[0].frames[0]
    other = other_method()  # would give other tokens
    clips = [
        PlainFrames(m, small_config(), tmp_path / "cache", "cpu", FINGERPRINTS)(frame, False, False)
        for m in (method, other)
    ]
    assert torch.equal(clips[0].features[0], clips[1].features[0])


@pytest.mark.parametrize(
    "fingerprints", [Fingerprints("camvid", "f", "other"), Fingerprints("camvid", "other", "w")]
)
def test_other_frames_or_weights_have_a_cache_of_their_own(tmp_path, method, fingerprints):
    frame = brightness_videos(tmp_path)[0].frames[0]
    other = other_method()
    clips = [
        PlainFrames(m, small_config(), tmp_path / "cache", "cpu", p)(frame, False, False)
        for m, p in ((method, FINGERPRINTS), (other, fingerprints))
    ]
    assert not torch.equal(clips[0].features[0], clips[1].features[0])


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_tokens_are_kept_in_the_precision_of_the_run(tmp_path, method, precision, dtype):
    (clip, *_) = batches(tmp_path, method, precision=precision)(0)
    assert {maps.dtype for maps in clip.features} == {dtype}


def test_images_features_labels_and_motion_images_are_cut_at_the_same_place():
    features = torch.arange(3 * 4.0).view(1, 3, 4, 1)  # a grid of 3 rows, 4 columns
    rows = torch.arange(3).repeat_interleave(16)[:, None]
    columns = torch.arange(4).repeat_interleave(16)
    labels = (rows * 4 + columns)[None].to(torch.uint8)  # each pixel: the number of its token
    images, seen = labels[..., None].expand(-1, -1, -1, 3), labels[:, ::2, ::2]
    clip = TrainingClip(images, labels, torch.tensor(0.1), images[..., 0], (features,), seen)
    window = cut(clip, left=1, top=1, size=(48, 32))
    expected = [5, 6, 7, 9, 10, 11]
    assert window.features[0].flatten().tolist() == expected
    assert window.labels[0, ::16, ::16].flatten().tolist() == expected
    assert window.images[0, ::16, ::16, 1].flatten().tolist() == expected
    assert window.motion_images[0, ::8, ::8].flatten().tolist() == expected


@pytest.mark.parametrize("point", [0.0, 0.2, 0.5, 0.77, 0.999])
def test_a_window_around_a_point_holds_it_and_takes_every_place_that_does(point):
    whole, side = 160, 64
    found = {window_start(share, whole, side, point) for share in np.linspace(0, 0.999, 50)}
    pixel = int(point * whole)
    assert found == {n for n in range(7) if n * PATCH <= pixel < n * PATCH + side}
    anywhere = {window_start(share, whole, side, None) for share in np.linspace(0, 0.999, 50)}
    assert anywhere == set(range(7))


def test_windows_of_a_share_are_placed_around_a_class(tmp_path, method):
    """Of two classes one fills a corner of every frame."""
    shares = {}
    for share in (0.0, 1.0):
        draw = batches(
            tmp_path / str(share),
            method,
            stages=stages(40, plain_share=1.0, frames_per_clip=1, frames_per_step=1),
            crop_size=(48, 32),
            class_share=share,
        )
        rare(draw)
        shares[share] = np.mean([(draw(i)[0].labels == 9).any().item() for i in range(40)])
    assert shares[0.0] < 0.35 < 0.4 < shares[1.0]


def rare(draw: TrainingBatches) -> None:
    """Make every label on disk class 3, and class 9 in a corner."""
    for video in draw.sampler.clips[1]:
        for frame in video[0]:
            label = np.full((60, 90), 3, np.uint8)
            label[-3:, -3:] = 9
            Image.fromarray(label).save(frame.label_path)


def test_a_crop_larger_than_the_input_is_an_error(tmp_path, method):
    with pytest.raises(ValueError, match=r"crop_size \(112, 64\) is larger than input_size"):
        batches(tmp_path, method, crop_size=(112, 64))
