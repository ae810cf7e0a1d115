"""Evaluation with a small real segmenter, figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from colour_segmenter import ColourSegmenter, write_camvid
from PIL import Image

from t2g_core.camvid import load_camvid
from t2g_core.datasets import DATASETS
from t2g_core.evaluate import evaluate, load_frame
from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics import confusion_matrix, miou

CAMVID = DATASETS["camvid"]


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


def masks_of(videos, segmenter, **options) -> list[int]:
    """Return the (only) class of each mask, in the order of evaluation."""
    seen = []
    evaluate(
        segmenter, videos, CAMVID, on_frame=lambda f, m, t: seen.append(int(m[0, 0])), **options
    )
    return seen


def test_a_perfect_segmenter_scores_one_everywhere(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, steady_scene()), "val")
    result = evaluate(ColourSegmenter(), videos, CAMVID)
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
    result = evaluate(lagging, videos, CAMVID, on_frame=lambda f, m, t: pairs.append((m, t)))
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
    vc = evaluate(ColourSegmenter(), videos, CAMVID).vc
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
    vc = evaluate(ColourSegmenter(), load_camvid(root, "val"), CAMVID).vc
    # n = 8: 11 windows, of which those starting at 1..8 hold frame 8 and lose half
    assert vc[8].correct == vc[8].stable == pytest.approx((3 + 8 / 2) / 11)
    assert vc[8].vspw == pytest.approx((2 + 8 / 2) / 10)
    assert vc[16].correct == vc[16].vspw == pytest.approx(0.5)  # every window holds frame 8


def test_weather_reaches_the_segmenter_and_is_repeatable(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, steady_scene(9)), "val")
    clean, fog, again = (
        evaluate(ColourSegmenter(), videos, CAMVID, corruption=name)
        for name in ("clean", "fog", "fog")
    )
    assert miou(fog.confmat) < miou(clean.confmat)
    np.testing.assert_array_equal(fog.confmat, again.confmat)
    assert fog.vc[8] == again.vc[8]


def test_a_frame_in_weather_does_not_depend_on_the_mode(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, steady_scene(4)), "val")
    results = [
        evaluate(ColourSegmenter(), videos, CAMVID, mode=mode, corruption="snow").confmat
        for mode in ("stream", "clip", "frame")
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    frame = videos[0].frames[2]
    assert (load_frame(frame, "snow", 3) == load_frame(frame, "snow", 3)).all()


def test_other_classes_are_refused(tmp_path):
    videos = load_camvid(write_camvid(tmp_path, counting_scene(1)), "val")
    segmenter = ColourSegmenter()
    segmenter.class_names = ("road", "sky")
    with pytest.raises(ValueError, match="the checkpoint .'road', 'sky'."):
        evaluate(segmenter, videos, CAMVID)


def test_a_label_of_another_size_than_its_image_is_named(tmp_path):
    root = write_camvid(tmp_path, counting_scene(2))
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(root / "val" / "labels" / "S_00002.png")
    with pytest.raises(ValueError, match=r"S_00002\.png is \(16, 16\).*\(32, 32\)"):
        evaluate(ColourSegmenter(), load_camvid(root, "val"), CAMVID)


@pytest.mark.parametrize("options", [{"mode": "batch"}, {"corruption": "rain"}])
def test_an_unknown_mode_or_weather_is_named(tmp_path, options):
    videos = load_camvid(write_camvid(tmp_path, counting_scene(1)), "val")
    with pytest.raises(ValueError, match=next(iter(options.values()))):
        evaluate(ColourSegmenter(), videos, CAMVID, **options)
