# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g segment --ray` on a cluster of this machine, two workers, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_checkpoint import write_vit_s_checkpoint
from small_runs import TOP

pytest.importorskip("ray.data", reason="pip install 't2g_ros[ray]'")


def write_drives(root: Path, count: int, frames: int) -> list[Path]:
    """Folders of pictures."""
    for k in range(count):
        (root / f"drive{k}").mkdir(parents=True)
        for t in range(frames):
            pixels = np.random.default_rng([k, t]).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"drive{k}" / f"{t:03d}.png")
    return [root / f"drive{k}" for k in range(count)]


def workers_of(parent: int) -> list[int]:
    """Processes of Ray that segment, of the cluster that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:  # none, or gone meanwhile
            continue
        own = f"T2G_TEST_OF={parent}".encode() in environment
        if own and words.startswith(b"ray::") and b"RayWorker" in words:
            found.append(int(folder.name))
    return found


def test_a_killed_worker_loses_nothing(tmp_path):
    paths = write_drives(tmp_path, 4, 12)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    checkpoint, out = tmp_path / "small.safetensors", tmp_path / "out"
    write_vit_s_checkpoint(checkpoint)
    words = ["-m", "t2g_core.cli", "segment", *paths, broken, "--checkpoint", checkpoint]
    words += ["--out", out, "--rate", 10, "--device", "cpu", "--json", "--ray", "--ray-workers", 2]
    own = {"PYTHONPATH": str(TOP), "OMP_NUM_THREADS": "1", "T2G_TEST_OF": str(os.getpid())}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob("*/masks/*.png")):  # in the middle of the first
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        victim = workers_of(os.getpid())[0]
        os.kill(victim, signal.SIGKILL)
        told, errors = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 1, errors[-3000:]
    *reports, failed = json.loads(told)
    assert [(r["state"], r["frames_sent"]) for r in reports] == 4 * [("done", 12)], errors[-3000:]
    assert [Path(report["path"]) for report in reports] == paths
    assert failed["state"] == "failed" and "broken.mp4" in failed["error"]
    assert "1 of 5 paths failed" in errors
    for path in paths:
        assert len(list((out / f"{path.name}_t2g" / "masks").iterdir())) == 12


POISONED = """
import json, os, signal, sys
from pathlib import Path
import t2g_core.recordings.archive as archive
from t2g_core.recordings.segment_path import SegmentOptions

class Poisoned(archive.RayWorker):
    def __call__(self, row):
        if "bad" in row["path"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"report": json.dumps({"path": row["path"], "state": "done"})}

archive.RayWorker = Poisoned
paths = [Path(sys.argv[1]) / name for name in ("a", "bad", "b")]
reports = archive.segment_several(paths, Path(sys.argv[1]), False, SegmentOptions(device="cpu"), 2)
print(json.dumps(reports))
"""


def test_a_path_that_kills_its_workers_is_listed_and_the_others_are_done(tmp_path):
    script = tmp_path / "poisoned.py"
    script.write_text(POISONED)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, bad, last = json.loads(done.stdout)
    assert first["state"] == last["state"] == "done"
    assert bad["state"] == "failed" and "in 3 tries" in bad["error"]
