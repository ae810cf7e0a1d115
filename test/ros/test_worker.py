# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The inference thread and what it is fed with: the newest item, and no quiet end."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from t2g_core.streaming import continuity
from t2g_core.streaming.continuity import NS, FrameInfo, reset_between
from t2g_ros.newest_frames import NewestFrames
from t2g_ros.worker import Worker

TIMEOUT_S = 10.0


def test_a_newer_item_replaces_one_that_nobody_took():
    newest = NewestFrames()
    assert not newest.put("front", "old")
    assert newest.put("front", "new")
    assert newest.take() == ["new"]
    assert not newest.put("front", "next")


def test_every_source_has_one_turn_and_the_longest_waiting_comes_first():
    newest = NewestFrames()
    for source, item in [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("c", 5)]:
        newest.put(source, item)
    assert newest.take() == [4, 2, 5]


def test_a_closed_one_hands_out_nothing():
    newest = NewestFrames()
    newest.put("front", "late")
    newest.close()
    assert newest.take() == []


def test_closing_wakes_the_one_who_waits():
    newest, taken = NewestFrames(), []
    thread = threading.Thread(target=lambda: taken.append(newest.take()))
    thread.start()
    newest.close()
    thread.join(TIMEOUT_S)
    assert taken == [[]]


def test_the_worker_takes_the_newest_of_all_sources_together():
    busy, release, done = threading.Event(), threading.Event(), threading.Event()
    worked = []

    def work(items: list[int]) -> None:
        worked.append(items)
        (done if 3 in items else busy).set()
        assert release.wait(TIMEOUT_S)

    worker = Worker(work=work, fail=worked.append)
    worker.start()
    assert not worker.offer("a", 1)
    assert busy.wait(TIMEOUT_S)  # it is busy with 1 now
    assert not worker.offer("a", 2)
    assert worker.offer("a", 3)
    assert not worker.offer("b", 4)
    release.set()
    assert done.wait(TIMEOUT_S)
    assert worker.stop(TIMEOUT_S)
    assert worked == [[1], [3, 4]]


def test_an_error_is_handed_over_before_the_thread_ends():
    failures, failed = [], threading.Event()

    def break_down(_) -> None:
        raise MemoryError("full")

    def fail(error: BaseException) -> None:
        failures.append(error)
        failed.set()

    worker = Worker(break_down, fail)
    worker.start()
    worker.offer("front", "item")
    assert failed.wait(TIMEOUT_S)
    assert worker.stop(TIMEOUT_S)
    assert [str(error) for error in failures] == ["full"]


@pytest.mark.parametrize(
    ("stamp_s", "size", "reason"),
    [
        (10.1, (4, 6), None),
        (10.0, (4, 6), None),  # a stamp that repeats is no break
        (12.0, (4, 6), None),  # exactly the largest gap
        (12.1, (4, 6), continuity.GAP),
        (9.9, (4, 6), continuity.STAMP_WENT_BACK),
        (10.1, (6, 4), continuity.IMAGE_SIZE),
    ],
)
def test_what_breaks_a_video(stamp_s, size, reason):
    reset = reset_between(
        FrameInfo(10 * NS, (4, 6)), FrameInfo(round(stamp_s * NS), size), max_gap_s=2.0
    )
    assert (reset.reason if reset else None) == reason
