# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""report.html of a run over a clip: its video, how steady and sure the masks are, where to look."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t2g_core import html
from t2g_core.health.findings import KINDS
from t2g_core.health.limits import HealthLimits
from t2g_core.recordings.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "report.html"
LONGEST = 60  # moments that are listed
SEEK = "document.getElementById('clip').currentTime={:.2f};return false"


def write_health_page(
    out: Path,
    headline: str,
    timeline: Timeline,
    rate_hz: float,
    source_confidence: float | None,
    video: str | None,
    strip: str,
) -> None:
    """Write the page beside the clip's video, if there is one, and its strip of slices, which it
    shows.

    rate_hz: of the video, by which a frame's number is a time in it.
    """
    moments = timeline.moments
    parts = [
        f"<h1>{escape(out.name)}</h1>",
        f"<pre>{escape(headline)}</pre>",
        f'<p><video id="clip" src="{escape(video)}" controls muted></video></p>' if video else "",
        "<h2>How steady and sure the masks are</h2>",
        html.picture(drawn(timeline, source_confidence), "flicker and confidence over time"),
        f"<h2>Moments to look at: {len(moments)}</h2>",
        moment_table(timeline, rate_hz, bool(video)) if moments else "<p>Nothing was found.</p>",
        "<h2>One column of every frame</h2>",
        f'<p><img alt="timeline of image, prediction and labels" src="{escape(strip)}"></p>',
    ]
    html.write_page(out / PAGE, out.name, parts)


def moment_table(timeline: Timeline, rate_hz: float, video: bool) -> str:
    """A line for each moment; its time leads to the frame in the video, where there is one."""
    rows = ["<tr><th>time</th><th>for</th><th></th><th>what</th><th></th></tr>"]
    for moment in timeline.moments[:LONGEST]:
        seek = SEEK.format(moment.first / rate_hz)
        time = f"{moment.start_s:.2f} s"
        time = f'<a href="#" onclick="{seek}">{time}</a>' if video else time
        rows.append(
            f"<tr><td>{time}</td>"
            f"<td>{moment.end_s - moment.start_s:.2f} s</td><td>{moment.level.name}</td>"
            f"<td>{escape(moment.kind)}</td><td>{escape(moment.sentence)}</td></tr>"
        )
    more = len(timeline.moments) - LONGEST
    note = f"<p>{more} more are in report.json.</p>" if more > 0 else ""
    return f'<div class="wide"><table>{"".join(rows)}</table></div>{note}'


def drawn(timeline: Timeline, source_confidence: float | None) -> Figure:
    """Flicker and confidence over time, with the moments as coloured stretches."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    limits, colours = HealthLimits(), colormaps["tab10"].colors
    figure = Figure(figsize=(13, 5))
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(timeline.times_s, 100 * np.array(timeline.flicker), color="black", lw=1)
    upper.axhline(100 * limits.flicker_warning, color="tab:orange", lw=0.8, ls="--")
    upper.set(ylabel="flicker [% of pixels]", ylim=(0, None))
    lower.plot(timeline.times_s, 100 * np.array(timeline.confidence), color="black", lw=1)
    if source_confidence is not None:
        lower.axhline(100 * source_confidence, color="tab:green", lw=0.8, label="own domain")
        warned = 100 * (source_confidence - limits.confidence_drop_warning)
        lower.axhline(warned, color="tab:orange", lw=0.8, ls="--", label="warning")
    lower.set(ylabel="confidence [%]", xlabel="time [s]")
    named = set()
    for moment in timeline.moments:
        for axis in (upper, lower):
            axis.axvspan(
                moment.start_s,
                max(moment.end_s, moment.start_s + 0.05),
                color=colours[KINDS.index(moment.kind) % len(colours)],
                alpha=0.25,
                label=moment.kind if axis is lower and moment.kind not in named else None,
            )
        named.add(moment.kind)
    if lower.get_legend_handles_labels()[0]:
        lower.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return figure
