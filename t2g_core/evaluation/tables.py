# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Evaluation results as rows: what they hold, and how they become tables, JSON and CSV.

A row is the JSON object of one checkpoint under one condition. All scores in it are percentages
from 0 to 100, or ``None`` where nothing could be scored (a class without ground truth, say).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from t2g_core.data.corruptions import Weather
from t2g_core.evaluation.confidence import RESAMPLES, miou_interval, vc_interval
from t2g_core.evaluation.evaluate import APPROX, CLEAN, Evaluation
from t2g_core.images.windows import WHOLE
from t2g_core.metrics.iou import iou, miou, miou_with_absent
from t2g_core.metrics.json_values import percent
from t2g_core.metrics.sparse_consistency import STATIC_THRESHOLD
from t2g_core.metrics.video_consistency import WINDOWS, ConsistencyScore

MEAN = "mean"  # stands as the corruption of the row that averages the weathers
READINGS = ("correct", "stable", "vspw")
DECIMALS = 4
ABSENT = "-"  # a score that does not exist, in a table


@dataclass(frozen=True)
class Settings:
    """What a row was measured with; all of it is printed with the row."""

    checkpoint: str
    data: str
    split: str
    mode: str
    weather: Weather | None
    every: int
    device: str
    precision: str
    without_depth: bool = False
    windows: str = WHOLE
    static_threshold: int = STATIC_THRESHOLD

    @property
    def condition(self) -> str:
        """The weather's name."""
        return CLEAN if self.weather is None else self.weather.name

    def record(self) -> dict:
        """As a row says it; without weather its severity and seeding are None."""
        clean = {"corruption": CLEAN, "severity": None, "seeding": None}
        values = {key: value for key, value in vars(self).items() if key != "weather"}
        return values | (clean if self.weather is None else self.weather.record())


def result_row(evaluation: Evaluation, settings: Settings) -> dict:
    """Put an evaluation and its settings into one JSON object."""
    return {
        "miou": percent(miou(evaluation.confmat), DECIMALS),
        "miou_with_absent": percent(miou_with_absent(evaluation.confmat), DECIMALS),
        "iou": {
            name: percent(value, DECIMALS)
            for name, value in zip(evaluation.class_names, iou(evaluation.confmat), strict=True)
        },
        **{f"vc{n}": _consistency(score) for n, score in evaluation.vc.items()},
        "protocol": evaluation.protocol,
        **{f"static{n}": percent(share, DECIMALS) for n, share in evaluation.coverage.items()},
        "ci95": {
            "miou": _percents(miou_interval(evaluation)),
            **{f"vc{n}": _percents(vc_interval(evaluation, n)) for n in WINDOWS},
        },
        "videos": len(evaluation.videos),
        "unscored_classes": list(evaluation.unscored),
        "frames": evaluation.frames,
        "seconds": round(evaluation.seconds, 3),
        "unit": "percent",
        **settings.record(),
    }


def mean_row(rows: Sequence[dict]) -> dict:
    """Average the scores of several conditions of one checkpoint; frames and seconds add up.

    A score that is ``None`` in one of them is ``None`` in the mean.
    """
    return {
        **rows[0],
        **{key: _mean([row[key] for row in rows]) for key in ("miou", "miou_with_absent")},
        "iou": {name: _mean([row["iou"][name] for row in rows]) for name in rows[0]["iou"]},
        **{
            key: {reading: _mean([row[key][reading] for row in rows]) for reading in READINGS}
            for key in _vc_keys()
        },
        "ci95": None,
        "frames": sum(row["frames"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 3),
        "corruption": MEAN,
        "mean_of": [row["corruption"] for row in rows],
    }


def format_tables(rows: Sequence[dict]) -> str:
    """Return the scores and the IoU of every class as two plain-text tables with their settings."""
    return "\n".join(
        [
            *_align(_score_table(rows)),
            "",
            "IoU by class",
            *_align(_class_table(rows)),
            "",
            "as the paper's tables, mVC in the reading `correct`",
            *_align(paper_table(rows)),
            "",
            *_footnotes(rows),
        ]
    )


def paper_table(rows: Sequence[dict]) -> list[list[str]]:
    """A line a checkpoint, and mIoU, mVC8 and mVC16 of every condition side by side."""
    conditions = list(dict.fromkeys(row["corruption"] for row in rows))
    header = [f"{c} {name}" for c in conditions for name in ("mIoU", "mVC8", "mVC16")]
    lines: dict[str, dict[str, dict]] = {}
    for row in rows:
        lines.setdefault(row["checkpoint"], {})[row["corruption"]] = row
    return [["checkpoint", *header]] + [
        [name]
        + [
            _cell(score)
            for c in conditions
            for score in (by[c]["miou"], *(by[c][key]["correct"] for key in _vc_keys()))
        ]
        for name, by in lines.items()
    ]


def write_report(folder: Path, document: dict, rows: Sequence[dict]) -> None:
    """Write ``results.json`` and ``results.csv`` (one line a row) into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document, indent=2) + "\n")
    flat = [_flatten(row) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(flat)


def _score_table(rows: Sequence[dict]) -> list[list[str]]:
    names = [f"{key.upper()} {reading}" for reading in READINGS for key in _vc_keys()]
    table = [["checkpoint", "mode", "condition", "mIoU", *names, "frames", "seconds"]]
    for row in rows:
        scores = [row[key][reading] for reading in READINGS for key in _vc_keys()]
        table.append(
            [row["checkpoint"], row["mode"], row["corruption"]]
            + [_cell(score) for score in (row["miou"], *scores)]
            + [str(row["frames"]), f"{row['seconds']:.0f}"]
        )
    return table


def _class_table(rows: Sequence[dict]) -> list[list[str]]:
    header = ["checkpoint", "condition", *rows[0]["iou"]]
    return [header] + [
        [row["checkpoint"], row["corruption"], *(_cell(value) for value in row["iou"].values())]
        for row in rows
    ]


def _footnotes(rows: Sequence[dict]) -> list[str]:
    """Say what the figures are: unit, data, and how the weather was made."""
    first = rows[0]
    notes = [
        f"percent, 0 to 100; {first['data']} {first['split']}; VC is the mean over videos "
        "(correct: constant and right; stable: constant; vspw: VSPW's script)"
    ]
    if first["every"] > 1:
        notes.append(f"every frame number {first['every']} of a video alone")
    weather = next((row for row in rows if row["corruption"] != CLEAN), None)
    if weather:
        notes.append(f"weather: severity {weather['severity']}, seeding {weather['seeding']}")
    for row in rows:
        if row.get("ci95") and row["ci95"]["miou"]:
            name = f"{row['checkpoint']} {row['corruption']}"
            notes.append(f"95 % over {row['videos']} videos, {name}: {_intervals(row['ci95'])}")
    if any(row.get("ci95") and row["ci95"]["miou"] for row in rows):
        notes.append(f"intervals: {RESAMPLES} draws of videos with replacement, seeded")
    if first["protocol"] == APPROX:
        shares = ", ".join(f"{first[f'static{n}']:.1f} % for n = {n}" for n in WINDOWS)
        notes.append(
            f"VC is that of Eq. 13 (sparse labels); static pixels (within "
            f"{first['static_threshold']} of 255): {shares}"
        )
    absent = [row for row in rows if row["miou_with_absent"] != row["miou"]]
    if absent:
        scores = ", ".join(
            f"{row['checkpoint']} {row['corruption']} {_cell(row['miou_with_absent'])}"
            for row in absent
        )
        notes.append(
            "mIoU as other code has it, where a class that is predicted but has no true pixel "
            f"counts as zero: {scores}"
        )
    if first["unscored_classes"]:
        names = ", ".join(first["unscored_classes"])
        notes.append(f"classes that the first checkpoint does not know count as void: {names}")
    skipped = sum(row[key].get("skipped_windows", 0) for row in rows for key in _vc_keys())
    if skipped:
        notes.append(f"{skipped} windows had no label-stable pixel and were skipped")
    return notes


def _align(table: list[list[str]]) -> list[str]:
    """Pad the cells of each column: names to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    numeric = [_is_number(cell) for cell in table[-1]]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in table
    ]


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdigit() or cell == ABSENT


def _flatten(row: dict) -> dict:
    """Turn ``{"iou": {"car": 1}}`` into ``{"iou.car": 1}``, and lists into one cell."""
    flat = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": _flat_cell(cell) for inner, cell in value.items()}
        else:
            flat[key] = _flat_cell(value)
    return flat


def _flat_cell(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _intervals(ci95: dict) -> str:
    spans = {"mIoU": ci95["miou"]} | {f"VC{n}": ci95[f"vc{n}"] for n in WINDOWS}
    return ", ".join(f"{name} {s[0]:.1f} to {s[1]:.1f}" for name, s in spans.items() if s)


def _vc_keys() -> list[str]:
    return [f"vc{n}" for n in WINDOWS]


def _consistency(score: ConsistencyScore) -> dict:
    fields = score._asdict()
    return {**fields, **{reading: percent(fields[reading], DECIMALS) for reading in READINGS}}


def _percents(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [percent(end, DECIMALS) for end in interval]


def _mean(values: Sequence[float | None]) -> float | None:
    return None if None in values else round(sum(values) / len(values), DECIMALS)


def _cell(score: float | None) -> str:
    return ABSENT if score is None else f"{score:.1f}"
