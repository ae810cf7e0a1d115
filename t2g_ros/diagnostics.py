# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node's line on /diagnostics: one status with everything a person asks first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from t2g_core.health.findings import Finding, Level
from t2g_core.health.stream_health import FrameHealth
from t2g_ros.stream_statistics import BAD_IMAGE, INFERENCE_ERROR, StatisticsSnapshot

UNCONFIGURED, LOADING, INACTIVE = "unconfigured", "loading", "inactive"
RUNNING, FINALIZED, FAILED = "running", "finalized", "failed"


@dataclass(frozen=True)
class NodeHealth:
    """What the statistics do not know about the node.

    Attributes:
        state: UNCONFIGURED, LOADING, INACTIVE, RUNNING, FINALIZED or FAILED.
        state_detail: the same with more words, such as the error it failed with.
        image_topic: the full name of the topic that images are awaited on.
        no_image_warning_s: silence on that topic for longer than this is a warning [s].
        no_mask_error_s: images without a mask for longer than this are an error [s].
        reliability: of the subscription, as it is now; empty without one.
        checkpoint, device: what runs where; empty while unknown.
        warnings: what the model's runtime was asked for and did not get.
        enabled: False while someone has switched segmentation off.
        subscribed: False while nobody subscribes to the outputs and the parameter lazy is true.
        findings: what was found wrong with images and masks since the last status, what explains
            the others first.
        last_mask: figures of the last mask; None before the first.
    """

    state: str
    state_detail: str
    image_topic: str
    no_image_warning_s: float
    no_mask_error_s: float
    reliability: str
    checkpoint: str
    device: str
    warnings: tuple[str, ...] = ()
    enabled: bool = True
    subscribed: bool = True
    findings: tuple[Finding, ...] = ()
    last_mask: FrameHealth | None = None


def diagnostic_status(
    name: str, health: NodeHealth, now: StatisticsSnapshot, before: StatisticsSnapshot
) -> DiagnosticStatus:
    """The status of this moment; `before` is the snapshot of the previous status."""
    level, message = judge(health, now, before)
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id=health.device,
        values=[KeyValue(key=key, value=value) for key, value in values(health, now).items()],
    )


def judge(
    health: NodeHealth, now: StatisticsSnapshot, before: StatisticsSnapshot
) -> tuple[bytes, str]:
    """Level and sentence: the worst that is true now, or has happened since `before`."""
    failed = now.dropped[INFERENCE_ERROR] - before.dropped[INFERENCE_ERROR]
    unreadable = now.dropped[BAD_IMAGE] - before.dropped[BAD_IMAGE]
    if health.state == FAILED:
        return DiagnosticStatus.ERROR, health.state_detail
    if failed:
        return DiagnosticStatus.ERROR, f"the model failed on {failed} images: {now.last_error}"
    if health.state != RUNNING:
        return DiagnosticStatus.WARN, health.state_detail
    if not health.enabled:
        return DiagnosticStatus.OK, "segmentation is switched off (~/set_enabled)"
    if not health.subscribed:
        return DiagnosticStatus.OK, "nobody subscribes to the outputs (parameter lazy)"
    if now.unanswered_s > health.no_mask_error_s:
        return DiagnosticStatus.ERROR, f"images come, but no mask for {now.unanswered_s:.0f} s"
    sentences = "; ".join(finding.sentence for finding in health.findings)
    if any(finding.level == Level.ERROR for finding in health.findings):
        return DiagnosticStatus.ERROR, sentences
    if now.lost > before.lost:
        return DiagnosticStatus.WARN, f"{now.lost - before.lost} images were lost on their way"
    if unreadable:
        return DiagnosticStatus.WARN, f"{unreadable} images cannot be read: {now.last_error}"
    if now.silence_s > health.no_image_warning_s:
        return DiagnosticStatus.WARN, f"no image on {health.image_topic} for {now.silence_s:.0f} s"
    if sentences:
        return DiagnosticStatus.WARN, sentences
    if health.warnings:
        return DiagnosticStatus.WARN, "; ".join(health.warnings)
    rates = f"{now.mask_rate_hz:.1f} masks/s of {now.input_rate_hz:.1f} images/s"
    return DiagnosticStatus.OK, rates


def values(health: NodeHealth, now: StatisticsSnapshot) -> dict[str, str]:
    """The figures, each as text; units are in the names, a figure not known yet is `nan`."""
    return {
        "state": health.state if health.enabled else "disabled",
        "images_received": str(now.received),
        "masks_published": str(now.masks),
        "images_lost": str(now.lost),
        **{f"dropped_{cause}": str(count) for cause, count in now.dropped.items()},
        "input_rate_hz": f"{now.input_rate_hz:.2f}",
        "mask_rate_hz": f"{now.mask_rate_hz:.2f}",
        "latency_p50_ms": f"{now.latency_p50_ms:.1f}",
        "latency_p95_ms": f"{now.latency_p95_ms:.1f}",
        "silence_s": f"{now.silence_s:.1f}",
        "findings": ", ".join(finding.kind for finding in health.findings),
        **_figures(health.last_mask),
        "last_error": now.last_error,
        "image_topic": health.image_topic,
        "reliability": health.reliability,
        "checkpoint": health.checkpoint,
        "device": health.device,
    }


def _figures(mask: FrameHealth | None) -> dict[str, str]:
    names = "flicker", "confidence", "confidence_drop", "confidence_trend"
    return {name: f"{math.nan if mask is None else getattr(mask, name):.4f}" for name in names}
