# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A process with one model in one runtime, timed on request: `t2g bench --runtime` starts several.

It reads lines from its standard input: `step` answers with the seconds of one whole step, from
frame to mask, and of its encoder; `memory` with the resident bytes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from t2g_core.bench.frames import moving_scenes, resident_bytes
from t2g_core.processor import let_waiting_threads_sleep, set_threads


def main() -> None:
    """Serve until the input ends."""
    asked = json.loads(sys.argv[1])
    let_waiting_threads_sleep()
    from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

    set_threads(asked["threads"])
    path = None if asked["path"] is None else Path(asked["path"])
    segmenter = StreamingSegmenter.from_checkpoint(
        path, asked["device"], precision=asked["precision"]
    )
    segmenter.input_size = tuple(asked["size"] or segmenter.input_size)
    frames = moving_scenes(segmenter.input_size)
    _, state = segmenter.step(next(frames), segmenter.start())
    name = f"{segmenter.device}, {segmenter.precision}"
    say({"name": name, "size": segmenter.input_size, "first_mask": time.time()})
    for line in sys.stdin:
        if line.strip() == "memory":
            say({"resident_bytes": resident_bytes()})
            continue
        started = time.perf_counter()
        encoded = segmenter.encode(next(frames))
        between = time.perf_counter()
        _, state = segmenter.step_encoded(encoded, state)
        ended = time.perf_counter()
        say({"encoder_s": between - started, "step_s": ended - started})


def say(answer: dict) -> None:
    """One line of JSON."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
