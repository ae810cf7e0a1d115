# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Evaluation with a small real segmenter, figures worked out by hand."""

from __future__ import annotations

import math
import weakref
from dataclasses import replace

import numpy as np
import pytest
from colour_segmenter import ColourSegmenter, write_camvid
from PIL import Image

from t2g_core.data.camvid import load_camvid
from t2g_core.data.corrupted_images import write_corrupted
from t2g_core.data.corruptions import Weather
from t2g_core.data.datasets import open_dataset
from t2g_core.evaluation import evaluate as evaluation
from t2g_core.evaluation.confidence import miou_interval, vc_interval
from t2g_core.evaluation.evaluate import (
    Evaluation,
    StoredWeather,
    VideoScore,
    evaluate_one,
    evaluate_together,
    load_frame,
    match_classes,
)
from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX, PALETTE
from t2g_core.metrics.iou import confusion_matrix, miou
from t2g_core.metrics.video_consistency import WindowCounts


def steady_scene(frames: int = 18) -> np.ndarray:
    """Sky over road with a void corner, and a car that drives through on the road."""
    labels = np.zeros((frames, 40, 48), np.uint8)
    labels[:, 20:] = 3
    labels[:, :2, :2] = IGNORE_INDEX
    for t in range(frames):
        labels[t, 25:30, 2 * t : 2 * t + 8] = 8
    return labels


def counting_scene(frames: int) -> np.ndarray:
    """Frame t is of class t throughout, so that a mask tells which frame it was made from."""
    return np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None], (frames, 32, 32))


@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_a_segmenter_is_told_the_time_between_frames(mode, tmp_path):
    (video,) = load_camvid(write_camvid(tmp_path, counting_scene(6)), "val")
    for every in (1, 3):
        segmenter = ColourSegmenter(2)
        evaluate_one(segmenter, [video.every(every)], CAMVID_CLASSES, mode=mode)
        assert segmenter.steps_s == pytest.approx([every / video.rate_hz] * len(segmenter.steps_s))
        assert segmenter.steps_s


def masks_of(videos, segmenter, **options) -> list[int]:
    """Return the (only) class of each mask, in the order of evaluation."""
    seen = []
    evaluate_one(
        segmenter,
        videos,
        CAMVID_CLASSES,
        on_frame=lambda _, f, m, t: seen.append(int(m[0, 0])),
        **options,
    )
    return seen


@pytest.mark.parametrize("mode", ["stream", "clip", "frame"])
def test_several_segmenters_share_each_frame_and_few_are_held(tmp_path, monkeypatch, mode):
    """Frames are the outer loop: read once for all, and no more than a clip of them is alive."""
    videos = load_camvid(write_camvid(tmp_path, counting_scene(11)), "val")
    alone = {n: masks_of(videos, ColourSegmenter(n), mode=mode) for n in (1, 2, 3)}
    real, alive, reads, most = evaluation.load_frame, weakref.WeakSet(), [], []

    class Tracked(np.ndarray):
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    def load_tracked(*args):
        image = real(*args).view(Tracked)
        alive.add(image)
        reads.append(1)
        return image

    monkeypatch.setattr(evaluation, "load_frame", load_tracked)
    seen: dict[str, list[int]] = {"1": [], "2": [], "3": []}

    def on_frame(name, frame, mask, target):
        seen[name].append(int(mask[0, 0]))
        most.append(len(alive))

    segmenters = {str(n): ColourSegmenter(n) for n in (1, 2, 3)}
    evaluate_together(segmenters, videos, CAMVID_CLASSES, mode=mode, on_frame=on_frame)
    assert len(reads) == 11 and max(most) <= 6  # two clips of three
    assert seen == {str(n): masks for n, masks in alone.items()}


def test_a_perfect_segmenter_scores_one_everywhere(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, steady_scene()), "val")
    result = evaluate_one(ColourSegmenter(), videos, CAMVID_CLASSES)
    assert miou(result.confmat) == 1.0 and result.frames == 18 and result.seconds > 0
    assert result.confmat.sum() == 18 * (40 * 48 - 4)  # the void corner counts nowhere
    for n, windows in ((8, 11), (16, 3)):
        score = result.vc[n]
        assert (score.stable, score.correct, score.vspw, score.windows) == (1, 1, 1, windows)


def test_the_matrix_is_summed_over_all_frames_of_all_videos(tmp_path):
    write_camvid(tmp_path, steady_scene(3), video="A")
    videos = load_camvid(write_camvid(tmp_path, counting_scene(2), video="B"), "val")
    lagging = ColourSegmenter(clip_length=2)
    pairs = []
    result = evaluate_one(
        lagging, videos, CAMVID_CLASSES, on_frame=lambda _, f, m, t: pairs.append((m, t))
    )
    assert len(pairs) == result.frames == 5
    np.testing.assert_array_equal(result.confmat, sum(confusion_matrix(m, t, 11) for m, t in pairs))


def test_the_three_modes_show_in_which_frame_a_mask_was_made_from(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, counting_scene(7)), "val")
    segmenter = ColourSegmenter(clip_length=3)
    assert masks_of(videos, segmenter, mode="frame") == [0, 1, 2, 3, 4, 5, 6]
    assert masks_of(videos, segmenter, mode="stream") == [0, 0, 0, 1, 2, 3, 4]
    assert masks_of(videos, segmenter, mode="clip") == [
        0,
        0,
        0,
        3,
        3,
        3,
        6,
    ]  # the last clip is short


def test_every_video_starts_from_an_empty_state(tmp_path):
    write_camvid(tmp_path, counting_scene(2), video="A")
    videos = load_camvid(write_camvid(tmp_path, counting_scene(5)[3:], video="B"), "val")
    for mode in ("stream", "clip"):
        assert masks_of(videos, ColourSegmenter(clip_length=3), mode=mode) == [0, 0, 3, 3]


def test_windows_do_not_cross_videos(tmp_path):
    write_camvid(tmp_path, steady_scene(10), video="A")
    videos = load_camvid(write_camvid(tmp_path, steady_scene(9), video="B"), "val")
    vc = evaluate_one(ColourSegmenter(), videos, CAMVID_CLASSES).vc
    assert (vc[8].windows, vc[8].short_videos) == (3 + 2, 0)
    assert (vc[16].windows, vc[16].short_videos) == (0, 2) and math.isnan(vc[16].correct)


def test_vc_of_a_flickering_frame_by_hand(tmp_path):
    """The picture of frame 8 of 18 is painted black at the left half: those pixels flicker."""
    labels = np.full((18, 32, 32), 3, np.uint8)
    root = write_camvid(tmp_path, labels)
    path = root / "val" / "images" / "S_00016.png"
    picture = np.array(Image.open(path))
    picture[:, :16] = (0, 0, 142)  # a car's colour
    Image.fromarray(picture).save(path)
    vc = evaluate_one(ColourSegmenter(), load_camvid(root, "val"), CAMVID_CLASSES).vc
    # n = 8: 11 windows, of which those starting at 1..8 hold frame 8 and lose half
    assert vc[8].correct == vc[8].stable == pytest.approx((3 + 8 / 2) / 11)
    assert vc[8].vspw == pytest.approx((2 + 8 / 2) / 10)
    assert vc[16].correct == vc[16].vspw == pytest.approx(0.5)  # every window holds frame 8


def test_weather_reaches_the_segmenter_and_is_repeatable(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, steady_scene(9)), "val")
    clean, fog, again = (
        evaluate_one(ColourSegmenter(), videos, CAMVID_CLASSES, weather=weather)
        for weather in (None, Weather("fog"), Weather("fog"))
    )
    assert miou(fog.confmat) < miou(clean.confmat)
    np.testing.assert_array_equal(fog.confmat, again.confmat)
    assert fog.vc[8] == again.vc[8]


def test_a_frame_in_weather_does_not_depend_on_the_mode(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, steady_scene(4)), "val")
    snow = Weather("snow")
    results = [
        evaluate_one(ColourSegmenter(), videos, CAMVID_CLASSES, mode=mode, weather=snow).confmat
        for mode in ("stream", "clip", "frame")
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    frame = videos[0].frames[2]
    assert (load_frame(frame, snow) == load_frame(frame, snow)).all()


def test_classes_meet_by_name_and_those_unknown_to_the_model_are_void(tmp_path):
    """A target with the classes car, wall and road for a model of the eleven CamVid classes."""
    root = tmp_path
    (root / "classes.txt").write_text("car\nwall\nroad\n")
    (root / "rate_hz.txt").write_text("10")
    label = np.repeat(np.array([0, 1, 2], np.uint8), 12)[:, None].repeat(40, axis=1)
    for folder in ("images", "labels"):
        (root / "val" / folder).mkdir(parents=True)
    for t in range(2):
        Image.fromarray(label).save(root / "val" / "labels" / f"S_{t}.png")
        colours = np.array([PALETTE["car"], PALETTE["sky"], PALETTE["sky"]], np.uint8)[label]
        Image.fromarray(colours).save(root / "val" / "images" / f"S_{t}.png")
    dataset = open_dataset("own", root)
    videos = dataset.load_videos("val")
    result = evaluate_one(ColourSegmenter(), videos, dataset.class_names)
    assert result.unscored == ("wall",)
    expected = np.zeros((11, 11), int)
    expected[8, 8] = expected[3, 0] = 2 * 12 * 40  # car right, road taken for sky, wall nowhere
    np.testing.assert_array_equal(result.confmat, expected)
    assert miou(result.confmat) == 0.5
    with pytest.raises(ValueError, match="the checkpoint .'sky', 'building'.*shares some"):
        evaluate_one(ColourSegmenter(), videos, ("floor", "shelf"))


def sparse_videos(root, labelled: int):
    """One snippet of 30 frames: sky over road, and a car that appears at frame 25 for good."""
    labels = np.zeros((30, 40, 48), np.uint8)
    labels[:, 20:] = 3
    labels[25:, 30:, :24] = 8
    (video,) = load_camvid(write_camvid(root, labels), "val")
    frames = [
        f if t == labelled else replace(f, label_path=None) for t, f in enumerate(video.frames)
    ]
    return [replace(video, frames=tuple(frames))]


def test_sparse_labels_go_by_equation_13(tmp_path):
    """Window of 16 starts at 14, of 8 at 19; both reach frame 25, where an eighth changes."""
    result = evaluate_one(ColourSegmenter(), sparse_videos(tmp_path, 19), CAMVID_CLASSES)
    assert result.protocol == "approx" and result.confmat.sum() == 40 * 48
    for n, start in ((8, 19), (16, 14)):
        (score,) = result.videos[0].sparse[n]
        assert score.start == start
        assert score.coverage == result.coverage[n] == pytest.approx(1 - 10 * 24 / (40 * 48))
        assert (result.vc[n].correct, result.vc[n].windows) == (1.0, 1)
        assert math.isnan(result.vc[n].vspw)


def test_static_pixels_are_those_of_the_clean_video(tmp_path):
    clean, fog = (
        evaluate_one(
            ColourSegmenter(), sparse_videos(tmp_path / name, 19), CAMVID_CLASSES, **options
        )
        for name, options in (("a", {}), ("b", {"weather": Weather("fog")}))
    )
    assert clean.coverage == fog.coverage and fog.vc[8].correct < 1.0


def test_intervals_over_videos_by_hand(tmp_path):
    """Two videos, one perfect, one with half of its road taken for sky: four equal draws."""
    confmats = []
    for right in (100, 50):
        confmat = np.zeros((2, 2), np.int64)
        confmat[0, 0], confmat[1, 1], confmat[1, 0] = 100, right, 100 - right
        confmats.append(confmat)
    counts = [{n: [WindowCounts(10, 10, correct)] for n in (8, 16)} for correct in (10, 4)]
    videos = tuple(VideoScore(c, w, {}) for c, w in zip(confmats, counts, strict=True))
    evaluation = Evaluation(videos, "dense", 2, 1.0, (), ())
    assert vc_interval(evaluation, 8) == (0.4, 1.0)
    low, high = miou_interval(evaluation)
    assert (low, high) == (pytest.approx((100 / 150 + 0.5) / 2), 1.0)
    assert miou_interval(replace(evaluation, videos=videos[:1])) is None


def test_stored_weather_scores_as_weather_made_on_the_fly(tmp_path):
    root, out = tmp_path / "data", tmp_path / "weather"
    videos = load_camvid(write_camvid(root, steady_scene(4)), "val")
    write_corrupted(videos, root, out, Weather("fog"))
    made = evaluate_one(ColourSegmenter(), videos, CAMVID_CLASSES, weather=Weather("fog"))
    stored = StoredWeather(out, root)
    read = evaluate_one(
        ColourSegmenter(), videos, CAMVID_CLASSES, weather=Weather("fog"), stored=stored
    )
    np.testing.assert_array_equal(made.confmat, read.confmat)


def test_a_label_of_another_size_than_its_image_is_named(tmp_path):
    root = write_camvid(tmp_path, counting_scene(2))
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(root / "val" / "labels" / "S_00002.png")
    with pytest.raises(ValueError, match=r"S_00002\.png is \(16, 16\).*\(32, 32\)"):
        evaluate_one(ColourSegmenter(), load_camvid(root, "val"), CAMVID_CLASSES)


def test_an_unknown_mode_is_named(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, counting_scene(1)), "val")
    with pytest.raises(ValueError, match="batch"):
        evaluate_one(ColourSegmenter(), videos, CAMVID_CLASSES, mode="batch")


def test_the_fifteen_shared_classes_fold_names_and_say_what_is_left_out():
    data = ("road", "truck & bus", "wall", "shelf")
    model = ("bus", "truck", "road", "terrain", "sky")
    match = match_classes(data, model, fold=True)
    assert match.names == ("truck & bus", "road", "sky", "other")
    assert match.unscored == ("wall", "shelf")
    scored = match.model_to_score[match.data_to_model[:4]]
    assert scored.tolist() == [1, 0, IGNORE_INDEX, IGNORE_INDEX]
    assert match.model_to_score[:5].tolist() == [0, 0, 1, 3, 2]
    own = match_classes(data, model)
    assert own.names == model and own.unscored == ("truck & bus", "wall", "shelf")
