# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A clip that is hit by faults at random moments: what is found, how soon, and by what name."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from t2g_core.faults.faults import Arrival, Fault, well
from t2g_core.health.findings import KINDS, Finding
from t2g_core.health.limits import HealthLimits
from t2g_core.health.stream_health import FrameHealth, StreamHealth, in_order
from t2g_core.health.timing_watch import TimingWatch
from t2g_core.streaming.continuity import FIRST_FRAME, NS
from t2g_core.streaming.streaming_segmenter import (
    EncodedFrame,
    SegmentationResult,
    StreamingSegmenter,
)
from t2g_core.streaming.video_segmenter import SegmentedFrame

FIRST_ONSET = 30  # frames; by then the watches have learned what is usual
WITHIN = 15  # frames in which a fault has to be found
LIMITS = HealthLimits()


class Outcome(NamedTuple):
    """Of one trial. delay: frames from the first that is hit to the first finding, 0 where that is
    the same one; None: nothing was found. named: the kind that stands first among all findings of
    the first fifteen frames, as it would in the node's diagnostics; empty: none.
    """

    fault: str
    seed: int
    delay: int | None
    named: str


@dataclass
class ClipOutcome:
    """Of one clip. alarms: frames of it with a finding that is false, by kind."""

    frames: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    trials: list[Outcome] = field(default_factory=list)


class Encoded:
    """A clip's frames, each encoded once, when it is first asked for."""

    def __init__(self, segmenter: StreamingSegmenter) -> None:
        self._segmenter = segmenter
        self._frames: dict[int, EncodedFrame] = {}

    def __call__(self, arrival: Arrival) -> EncodedFrame:
        """Of a frame that arrives."""
        if arrival.number is None:
            return self._segmenter.encode(arrival.image)
        if arrival.number not in self._frames:
            self._frames[arrival.number] = self._segmenter.encode(arrival.image)
        return self._frames[arrival.number]


class WatchedStream:
    """A stream and its watches, of which a copy can go another way."""

    def __init__(self, segmenter: StreamingSegmenter, encoded: Encoded, rate_hz: float) -> None:
        self._segmenter, self._encoded, self._rate_hz = segmenter, encoded, rate_hz
        self._state = segmenter.start()
        self._health, self._timing = StreamHealth(segmenter), TimingWatch()
        self._stamp: int | None = None

    def fork(self) -> WatchedStream:
        """A copy that knows of this one's frames, and none of either's to come."""
        other = copy.copy(self)
        other._health = copy.deepcopy(self._health)
        other._timing = copy.deepcopy(self._timing)
        return other

    def step(
        self, arrival: Arrival, rng: np.random.Generator
    ) -> tuple[SegmentationResult, FrameHealth, list[Finding]]:
        """The next frame: its result, its health and all findings, the clock's among them."""
        stamp_ns = round(arrival.stamp * NS / self._rate_hz)
        first = self._stamp is None
        step_s = 0.0 if first else (arrival.stamp - self._stamp) / self._rate_hz
        frame = self._encoded(arrival)
        probs, self._state = self._segmenter.step_probs(frame, self._state, step_s)
        if arrival.noise:
            probs = with_noise(probs, arrival.noise, rng)
        result = self._segmenter.to_result(probs, frame.size)
        reset = FIRST_FRAME if first else None
        motion = None if first else self._state.motion
        segmented = SegmentedFrame(result, self._state.memory_fill, reset, True, motion)
        self._stamp = arrival.stamp
        health = self._health.update(arrival.image, segmented, stamp_ns, LIMITS)
        return result, health, in_order(self._timing.update(stamp_ns) + health.findings)


def with_noise(probs, deviation: float, rng: np.random.Generator):
    """Probabilities (1, K, h, w), a tensor, with normal noise on their logits."""
    import torch

    noise = rng.normal(0, deviation, probs.shape).astype(np.float32)
    logits = probs.float().clamp(min=1e-6).log() + torch.from_numpy(noise).to(probs.device)
    return logits.softmax(dim=1)


def try_faults(
    segmenter: StreamingSegmenter,
    images: Sequence[np.ndarray],
    rate_hz: float,
    expected: frozenset[str],
    faults: Sequence[Fault],
    seeds: int,
    on_frame: Callable[[], None] = lambda: None,
) -> ClipOutcome:
    """Run a clip once, and from random moments of it each fault for fifteen frames.

    images: (H, W, 3) uint8 RGB; expected: kinds of finding that are true of the clip as it is.
    on_frame is called for every frame that was segmented.
    """
    stream, outcome = WatchedStream(segmenter, Encoded(segmenter), rate_hz), ClipOutcome()
    last = len(images) - 2 * WITHIN
    if faults and last <= FIRST_ONSET:
        raise ValueError(f"expected more than {FIRST_ONSET + 2 * WITHIN} frames, got {len(images)}")
    onsets: dict[int, list[tuple[Fault, int, np.random.Generator]]] = {}
    for (place, fault), seed in itertools.product(enumerate(faults), range(seeds)):
        rng = np.random.default_rng([seed, place])
        onset = int(rng.integers(FIRST_ONSET, last))
        onsets.setdefault(onset, []).append((fault, seed, rng))
    rng = np.random.default_rng(0)
    for number, arrival in enumerate(well(images)):
        for fault, seed, own in onsets.get(number, ()):
            outcome.trials.append(hit(stream.fork(), fault, seed, images, number, own, on_frame))
        _, _, findings = stream.step(arrival, rng)
        outcome.frames += 1
        outcome.alarms.update({finding.kind for finding in findings} - expected)
        on_frame()
    return outcome


def hit(
    stream: WatchedStream,
    fault: Fault,
    seed: int,
    images: Sequence[np.ndarray],
    onset: int,
    rng: np.random.Generator,
    on_frame: Callable[[], None],
) -> Outcome:
    """One trial."""
    delay, found = None, set()
    arrivals = itertools.islice(fault.arrivals(images, onset, rng), WITHIN)
    for number, arrival in enumerate(arrivals):
        _, _, findings = stream.step(arrival, rng)
        on_frame()
        if findings and delay is None:
            delay = number
        found |= {finding.kind for finding in findings}
    named = min(found, key=KINDS.index) if found else ""
    return Outcome(fault.name, seed, delay, named)
