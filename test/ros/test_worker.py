"""The inference thread and what it is fed with: the newest item, and no quiet end."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . .ci/environment.sh")

from t2g_core.streaming import continuity
from t2g_core.streaming.continuity import NS, FrameInfo, reset_between
from t2g_ros.newest_slot import NewestSlot
from t2g_ros.worker import Worker

TIMEOUT_S = 10.0


def test_a_newer_item_replaces_one_that_nobody_took():
    slot = NewestSlot()
    assert not slot.put("old")
    assert slot.put("new")
    assert slot.take() == "new"
    assert not slot.put("next")


def test_a_closed_slot_hands_out_nothing():
    slot = NewestSlot()
    slot.put("late")
    slot.close()
    assert slot.take() is None


def test_closing_wakes_the_one_who_waits():
    slot, taken = NewestSlot(), []
    thread = threading.Thread(target=lambda: taken.append(slot.take()))
    thread.start()
    slot.close()
    thread.join(TIMEOUT_S)
    assert taken == [None]


def test_the_worker_prepares_then_takes_the_newest():
    prepared, release, done = threading.Event(), threading.Event(), threading.Event()
    worked = []

    def work(item: int) -> None:
        worked.append(item)
        (done if item == 3 else prepared).set()
        assert release.wait(TIMEOUT_S)

    worker = Worker(prepare=lambda: worked.append("ready"), work=work, fail=worked.append)
    worker.start()
    assert not worker.offer(1)
    assert prepared.wait(TIMEOUT_S)  # it is busy with 1 now
    assert not worker.offer(2)
    assert worker.offer(3)
    release.set()
    assert done.wait(TIMEOUT_S)
    assert worker.stop(TIMEOUT_S)
    assert worked == ["ready", 1, 3]


@pytest.mark.parametrize("where", ["prepare", "work"])
def test_an_error_is_handed_over_before_the_thread_ends(where):
    failures, failed = [], threading.Event()

    def break_down(*_) -> None:
        raise MemoryError(where)

    def fail(error: BaseException) -> None:
        failures.append(error)
        failed.set()

    steps = {"prepare": lambda: None, "work": lambda item: None, where: break_down}
    worker = Worker(fail=fail, **steps)
    worker.start()
    worker.offer("item")
    assert failed.wait(TIMEOUT_S)
    assert worker.stop(TIMEOUT_S)
    assert [str(error) for error in failures] == [where]


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
