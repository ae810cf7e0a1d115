# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A comparison as one YAML: which methods, trained on which sources, tried on which targets."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import torch

from t2g_core.config import Config, from_mapping, load_mapping, read_config
from t2g_core.config import with_value as changed
from t2g_core.data.corruptions import SEEDINGS, SEVERITY
from t2g_core.data.datasets import NAMES
from t2g_core.evaluation.frame_path import FramePath
from t2g_core.evaluation.modes import MODES


@dataclass(frozen=True)
class MethodPlan:
    """config: a YAML of a model and its training, found from where the command runs. changes: keys
    of it, `section.key`, in which this method differs. seeds: under which it is trained instead of
    the plan's.
    """

    config: str
    changes: dict | None = None
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Source:
    """What is trained on: a data set's name and split; root: which folder of the command line;
    changes: keys of a config that all methods take on it. iterations: those of every stage of
    every method times this, rounded up.
    """

    root: str
    data: str = "camvid"
    split: str = "train"
    changes: dict | None = None
    iterations: float = 1.0

    def __post_init__(self):
        check_name(self.data)
        if self.iterations <= 0:
            raise ValueError(f"iterations: expected a factor above 0, got {self.iterations}")


@dataclass(frozen=True)
class Target:
    """What is tried: as the options of `t2g eval` of these names, and the sources that try it."""

    root: str
    sources: tuple[str, ...]
    data: str = "camvid"
    split: str = "val"
    corruptions: tuple[str, ...] = ("clean",)
    severity: int = SEVERITY
    seeding: str = "frame"
    every: int = 1
    mode: str = "stream"
    windows: str = ""

    def __post_init__(self):
        check_name(self.data)
        if self.seeding not in SEEDINGS:
            raise ValueError(f"seeding: expected one of {SEEDINGS}, got {self.seeding!r}")
        if self.mode not in MODES:
            raise ValueError(f"mode: expected one of {tuple(MODES)}, got {self.mode!r}")


@dataclass(frozen=True)
class Plan:
    """methods, sources, targets by name. seeds: every method is trained under each. changes: keys
    of a config, `section.key`, which all methods take: the common budget.

    reference: the method with which the others are compared: in what it is ahead of the best of
        them, and its step's time is the unit of theirs. frame_path, running_means: of the
        reference, as of `t2g eval`. windows: sliding ones, on which a step is timed beside whole
        frames. mean: whether the report also has the mean over all sources and
        targets. note: what it says of the result.
    """

    methods: dict[str, MethodPlan]
    sources: dict[str, Source]
    targets: dict[str, Target]
    reference: str
    seeds: tuple[int, ...] = (0,)
    changes: dict | None = None
    running_means: tuple[float, ...] = ()
    frame_path: bool = False
    mean: bool = False
    windows: str = "512/341"
    note: str = ""

    def config(self, method: str, seed: int, source: str) -> Config:
        """A method's config with the common budget, on a source, under a seed."""
        path, row = self.methods[method].config, self.methods[method].changes or {}
        mapping = load_mapping(path)
        own, longer = self.sources[source].changes or {}, self.sources[source].iterations
        for key, value in ((self.changes or {}) | row | own | {"train.seed": seed}).items():
            mapping = changed(mapping, key, value)
        if mapping.get("train"):
            mapping["train"]["stages"] = [
                stage | {"iterations": math.ceil(stage["iterations"] * longer)}
                for stage in mapping["train"]["stages"]
            ]
        return read_config(mapping, Path(path).name)

    def runs(self) -> list[tuple[int, str]]:
        """Every seed with every method that is trained under it."""
        seeds = {name: method.seeds or self.seeds for name, method in self.methods.items()}
        every = sorted({seed for found in seeds.values() for seed in found})
        return [(seed, name) for seed in every for name, found in seeds.items() if seed in found]

    def roots(self) -> set[str]:
        """Folders that the command line has to name."""
        return {one.root for one in (*self.sources.values(), *self.targets.values())}


def check_name(data: str) -> None:
    """Raise ValueError for a data set that is none."""
    if data not in NAMES:
        raise ValueError(f"data: expected one of {', '.join(NAMES)}, got {data!r}")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        FileNotFoundError: no such file, or no config of a method.
        ValueError: a key that is missing, unknown or of another type, named with its section; a
            target of a source that is not in the plan; a config that cannot be trained; a variant
            that the reference does not have.
    """
    mapping, where = load_mapping(path), path.name
    kinds = {"methods": MethodPlan, "sources": Source, "targets": Target}
    parts = {}
    for section, kind in kinds.items():
        found = mapping.pop(section, None)
        if not isinstance(found, dict) or not found:
            raise ValueError(
                f"{where}.{section}: expected names, each with its keys, got {found!r}"
            )
        parts[section] = {
            name: from_mapping(kind, value, f"{where}.{section}.{name}")
            for name, value in found.items()
        }
    plan = from_mapping(Plan, mapping, where, **parts)
    if plan.reference not in plan.methods:
        raise ValueError(
            f"{where}.reference: expected a method of the plan, got {plan.reference!r}"
        )
    without = {seed for seed, _ in plan.runs()} - {s for s, n in plan.runs() if n == plan.reference}
    if without:
        raise ValueError(
            f"{where}.methods.{plan.reference}.seeds: expected those of all other methods too, "
            f"to be compared with, without {', '.join(map(str, sorted(without)))}"
        )
    for name, target in plan.targets.items():
        for source in set(target.sources) - set(plan.sources):
            raise ValueError(f"{where}.targets.{name}: no source {source} in the plan")
    for source, method in itertools.product(plan.sources, plan.methods):
        if plan.config(method, 0, source).train is None:
            raise ValueError(f"{where}.methods.{method}: its config has no section train")
    try:
        check_variants(plan)
    except ValueError as error:
        raise ValueError(f"{where}, reference {plan.reference}: {error}") from None
    return plan


def check_variants(plan: Plan) -> None:
    """Raise ValueError for variants that the reference does not have, before hours of training."""
    config = plan.config(plan.reference, 0, next(iter(plan.sources))).without_weights()
    with torch.device("meta"):
        method = config.build_method(config.build_encoder("meta"), 2)
    if plan.frame_path:
        FramePath(method)
    elif plan.running_means and (method.clip_length > 1 or method.recurrent):
        raise ValueError("running_means: expected a reference that looks at each frame alone")
