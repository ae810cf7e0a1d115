# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The rendered street: repeatable pictures, exact labels, plausible geometry."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest

from t2g_core.cli import main
from t2g_core.data.own_video import load_own_video, read_classes
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.street.raster import Camera, Canvas, Surface, clip_near, cut_out, opaque, upright
from t2g_core.street.scene import StreetScene, majority
from t2g_core.street.weather import HAZE_RGB

LEVEL = Camera((0.0, 1.4, 0.0), 0.0, 0.0, 100.0, 80, 60)
FOG = np.array(HAZE_RGB["fog"], float)
ROAD, SKY, CAR = (CAMVID_CLASSES.index(name) for name in ("road", "sky", "car"))


@functools.cache
def small_scene(weather: str = "clear") -> StreetScene:
    return StreetScene(seed=3, frames=30, width=240, height=180, weather=weather)


@functools.cache
def frame(index: int, weather: str = "clear") -> tuple[np.ndarray, np.ndarray]:
    return small_scene(weather).frame(index)


def empty_canvas() -> Canvas:
    shape = (LEVEL.height, LEVEL.width)
    return Canvas(LEVEL, np.zeros((*shape, 3), np.uint8), np.full(shape, 255, np.uint8),
                  np.zeros(shape, np.float32))  # fmt: skip


def test_same_seed_same_pictures_other_seed_other_pictures():
    again = StreetScene(seed=3, frames=30, width=240, height=180)
    for ours, theirs in zip(frame(4), again.frame(4), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other = StreetScene(seed=4, frames=30, width=240, height=180).frame(4)
    assert (other[1] != frame(4)[1]).mean() > 0.05


def test_a_frame_does_not_depend_on_the_frames_before():
    image, labels = frame(20)
    small_scene().frame(0)
    np.testing.assert_array_equal(small_scene().frame(20)[0], image)
    np.testing.assert_array_equal(small_scene().frame(20)[1], labels)


def test_every_pixel_has_a_label_and_the_clip_has_every_class():
    seen = set()
    for index in (0, 10, 20, 29):
        image, labels = frame(index)
        assert image.shape == (180, 240, 3) and image.dtype == np.uint8
        assert labels.shape == (180, 240) and labels.dtype == np.uint8
        seen |= set(np.unique(labels))
    assert seen == set(range(len(CAMVID_CLASSES)))


def test_sky_is_above_and_road_below():
    _, labels = frame(0)
    rows, _ = np.nonzero(labels == SKY)
    assert rows.max() < 0.55 * 180
    rows, _ = np.nonzero(labels == ROAD)
    assert rows.min() > 0.45 * 180
    assert (labels[-1] == ROAD).mean() > 0.5


def test_the_camera_moves_and_time_changes_the_view_a_little_each_frame():
    step = (frame(4)[1] != frame(5)[1]).mean()
    far = (frame(4)[1] != frame(29)[1]).mean()
    assert 0 < step < 0.15 < far


@pytest.mark.long
def test_weather_changes_the_picture_but_not_the_labels():
    for weather in ("fog", "rain", "snow"):
        image, labels = frame(4, weather)
        np.testing.assert_array_equal(labels, frame(4)[1])
        assert np.abs(image.astype(int) - frame(4)[0]).mean() > 5


def test_fog_hides_what_is_far():
    depth = small_scene().paint(4).depth[::2, ::2]
    far, near = (depth > 60) & (depth < 300), depth < 8
    for pixels, kept in ((far, (0.0, 0.4)), (near, (0.6, 1.0))):
        to_fog = [np.abs(frame(4, w)[0][pixels] - FOG).mean() for w in ("fog", "clear")]
        assert kept[0] < to_fog[0] / to_fog[1] < kept[1]


@pytest.mark.parametrize(
    ("field", "value"), [("weather", "hail"), ("frames", 0), ("width", -1), ("rate_hz", 0.0)]
)
def test_impossible_scenes_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        StreetScene(**{field: value})


def test_a_frame_outside_the_clip_is_refused():
    with pytest.raises(ValueError, match=r"0\.\.29"):
        small_scene().frame(30)


def test_projection_of_known_points():
    # 2 m ahead and 1 m right of the camera: 100 px * 1/2 from the centre; up is up.
    points = LEVEL.to_camera(np.array([[1.0, 1.4, 2.0], [0.0, 2.4, 4.0]]))
    np.testing.assert_allclose(LEVEL.project(points), [[39.5 + 50, 29.5], [39.5, 29.5 - 25]])


def test_pitch_down_lifts_the_horizon():
    down = Camera((0.0, 1.4, 0.0), 0.1, 0.0, 100.0, 80, 60)
    horizon = down.project(down.to_camera(np.array([[0.0, 1.4, 1e6]])))
    np.testing.assert_allclose(horizon, [[39.5, 29.5 - 100 * np.tan(0.1)]], atol=1e-3)


def test_a_drawn_rectangle_covers_the_pixels_it_should():
    canvas = empty_canvas()
    red = opaque(np.full((8, 8, 3), (200, 0, 0), np.uint8))
    # 2 m wide and 1 m high around the optical axis, 10 m away: 20 x 10 pixels
    canvas.draw(Surface(upright(0.0, 0.9, 10.0, 2.0, 1.0), red, CAR))
    rows, columns = np.nonzero(canvas.labels == CAR)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (25, 34, 30, 49)
    np.testing.assert_allclose(canvas.depth[rows, columns], 10.0, atol=1e-4)
    assert (canvas.rgb[26:34, 31:49] == (200, 0, 0)).all()  # its edges are blended


def test_nearer_surfaces_cover_farther_ones_and_shadows_have_no_label():
    canvas = empty_canvas()
    for z, label in ((10.0, 1), (5.0, 2)):
        grey = opaque(np.full((4, 4, 3), 100, np.uint8))
        canvas.draw(Surface(upright(0.0, 0.0, z, 4.0, 4.0), grey, label))
    shadow = cut_out(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 128, np.uint8))
    canvas.draw(Surface(upright(0.0, 1.0, 4.0, 1.0, 1.0), shadow, None))
    assert canvas.labels[30, 40] == 2
    assert canvas.depth[30, 40] == pytest.approx(5.0)
    assert 45 <= canvas.rgb[30, 40, 0] <= 55


def test_a_wall_that_reaches_behind_the_camera_is_cut():
    wall = np.array([[-2, 3, -5], [-2, 3, 15], [-2, 0, 15], [-2, 0, -5]], float)
    corners, span = clip_near(wall, LEVEL)
    assert corners[:, 2].min() == pytest.approx(0.4, abs=1e-3)
    assert span == (pytest.approx(5.4 / 20, abs=1e-3), 1.0)
    assert clip_near(wall - [0, 0, 20], LEVEL) is None


def test_labels_are_the_majority_of_the_finer_pixels():
    fine = np.array([[1, 1, 3, 4], [1, 2, 4, 3]], np.uint8)
    np.testing.assert_array_equal(majority(fine, 2), [[1, 3]])  # a tie goes to the lower id


def test_the_command_writes_images_and_labels(tmp_path):
    assert main(["scene", str(tmp_path), "--frames", "2", "--size", "64", "48"]) == 0
    image = cv2.imread(str(tmp_path / "images" / "street_00001.png"))
    labels = cv2.imread(str(tmp_path / "labels" / "street_00001.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (48, 64, 3) and labels.shape == (48, 64)
    assert labels.max() < len(CAMVID_CLASSES)


def test_splits_make_a_data_set(tmp_path):
    common = [str(tmp_path), "--size", "80", "60", "--frames"]
    assert main(["scene", *common, "3", "--split", "train"]) == 0
    assert main(["scene", *common, "2", "--split", "val", "--seed", "8"]) == 0
    assert tuple(read_classes(tmp_path)) == CAMVID_CLASSES
    lengths = [len(load_own_video(tmp_path, split)[0].frames) for split in ("train", "val")]
    assert lengths == [3, 2]


def test_splits_of_two_rates_are_refused(tmp_path, capsys):
    common = ["scene", str(tmp_path), "--size", "80", "60", "--frames", "2"]
    assert main([*common, "--split", "train"]) == 0
    assert main([*common, "--split", "val", "--rate", "5"]) != 0
    assert "rate_hz.txt" in capsys.readouterr().err
    assert not (tmp_path / "val" / "images").exists()
