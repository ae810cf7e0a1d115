# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Faults put into a clip are found by the watches, and the clip itself raises no alarm."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from small_checkpoint import write_vit_s_checkpoint

from t2g_core.cli import main
from t2g_core.faults.faults import FAULTS, well
from t2g_core.faults.scenes import StoppingScene, TurningScene
from t2g_core.faults.trials import Encoded, WatchedStream, try_faults
from t2g_core.health.findings import KINDS
from t2g_core.streaming.continuity import FrameInfo
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.streaming.video_segmenter import VideoSegmenter

CLOCK = ("frozen image", "half the rate", "stamps stand still")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("faults") / "small.safetensors"
    write_vit_s_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def segmenter(checkpoint):
    return StreamingSegmenter.from_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def street():
    """Blurred tiles that move: much cheaper to make than the rendered street."""
    tiles = np.random.default_rng(7).integers(0, 256, (18, 24, 3), dtype=np.uint8)
    wide = cv2.GaussianBlur(cv2.resize(tiles, (96, 72)), (0, 0), 0.7)
    return [np.ascontiguousarray(np.roll(wide, number, axis=1)) for number in range(61)]


def test_faults_are_found_from_random_moments_on_and_by_their_names(segmenter, street):
    faults = [fault for fault in FAULTS if fault.name in (*CLOCK, "blackout")]
    outcome = try_faults(segmenter, street, 15.0, frozenset(KINDS), faults, seeds=2)
    assert (outcome.frames, len(outcome.trials)) == (61, 8)
    kinds = {fault.name: fault.kinds for fault in faults}
    for trial in outcome.trials:
        assert trial.named in kinds[trial.fault], trial
        assert 0 <= trial.delay < 15


def test_a_fork_leaves_the_stream_it_came_from_alone(segmenter, street):
    rng = np.random.default_rng(0)
    arrivals = list(well(street[:12]))

    def run(with_fork: bool) -> list[float]:
        stream, figures = WatchedStream(segmenter, Encoded(segmenter), 15.0), []
        for arrival in arrivals:
            if with_fork and arrival.number == 6:
                fork = stream.fork()
                for other in arrivals[9:12]:
                    fork.step(other._replace(noise=5.0), rng)
            figures.append(stream.step(arrival, rng)[1].flicker)
        return figures

    np.testing.assert_array_equal(run(False), run(True))


def test_it_is_the_stream_that_the_node_and_segment_run(segmenter, street):
    stream, video = WatchedStream(segmenter, Encoded(segmenter), 15.0), VideoSegmenter(segmenter)
    rng = np.random.default_rng(0)
    for arrival in well(street[:5]):
        result, _, _ = stream.step(arrival, rng)
        info = FrameInfo(round(arrival.stamp * 1e9 / 15), arrival.image.shape[:2])
        expected = video.segment(arrival.image, info, max_gap_s=3.0).result
        np.testing.assert_array_equal(result.mask, expected.mask)


def test_the_turn_turns_and_the_stop_stops():
    turn, stop = (scene(frames=75, width=96, height=72) for scene in (TurningScene, StoppingScene))
    yaws = [turn.camera(index).yaw for index in range(75)]
    assert max(yaws) - min(yaws) > 0.6
    places = [stop.camera(index).position[2] for index in range(75)]
    assert places[40] > places[20] and places[60] == pytest.approx(places[74])


@pytest.mark.long
def test_the_command_prints_three_tables(checkpoint, tmp_path, capsys):
    words = ["--seeds", "1", "--frames", "61", "--size", "96", "72", "--fault", "blackout", "--out"]
    assert main(["faults", "--checkpoint", str(checkpoint), *words, str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| street | blackout | 1 of 1 | 0 (0) | 1 |" in printed
    assert "street, turning | 61 |" in printed
    assert "flicker, along the motion" in printed
    record = json.loads((tmp_path / "faults.json").read_text())
    assert record["clips"]["street"]["trials"][0]["named"] == "blackout"
    with pytest.raises(SystemExit):
        main(["faults", "--fault", "bad luck"])
