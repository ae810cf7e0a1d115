# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Many recordings segmented one after the other, or side by side on a Ray cluster.

Each has a result folder of its own. What fails is listed and skipped, and what an earlier call with
the same settings has done is not done again.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from tqdm import tqdm

from t2g_core.device import CPU
from t2g_core.recordings.result_folder import REPORT, default_folder
from t2g_core.recordings.segment_path import SegmentOptions, segment_path
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

DONE, WAS_THERE, FAILED = "done", "was there", "failed"
TRIES = 3  # of a path whose worker is lost
WORKERS_ENVIRONMENT = {"env_vars": {"TQDM_DISABLE": "1"}}


class Job(NamedTuple):
    """A path, its result folder, and whether to segment it although its results are there."""

    path: Path
    out: Path
    again: bool

    def run(self, options: SegmentOptions, load: Callable[[], StreamingSegmenter]) -> dict:
        """The path's report, with `state` and `out`; of one that fails `path` and `error`."""
        try:
            report = None if self.again else earlier_report(self.out, options.settings)
            state = DONE if report is None else WAS_THERE
            report = report or segment_path(self.path, self.out, options, load)
            return report | {"state": state, "out": str(self.out)}
        except (ValueError, OSError) as error:
            return failed(self.path, str(error))
        except Exception as error:  # a bug, or memory: the other paths are segmented all the same
            logging.getLogger(__name__).exception("%s", self.path)
            return failed(self.path, f"{type(error).__name__}: {error}")


def failed(path: Path, error: str) -> dict:
    """The report of a path without results."""
    return {"path": str(path), "state": FAILED, "error": error}


def segment_several(
    paths: Sequence[Path],
    above: Path | None,
    again: bool,
    options: SegmentOptions,
    ray_workers: int | None = None,
) -> list[dict]:
    """Segment each path into a folder of its own, in ``above`` or beside it; reports in order.

    ray_workers: on a Ray cluster, so many at a time, 0 for one a GPU; None: here.
    """
    above = above and above.resolve()  # workers may be elsewhere
    reports: dict[Path, dict] = {}
    jobs: dict[Path, Job] = {}  # by folder
    for path in paths:
        try:
            job = Job(path, default_folder(path, above), again)
        except ValueError as error:
            reports[path] = failed(path, str(error))
            continue
        if job.out in jobs:
            other = jobs[job.out].path
            reports[path] = failed(path, f"{job.out} is for the results of {other}")
            continue
        jobs[job.out] = job
    if ray_workers is None or not jobs:
        done = run_here(list(jobs.values()), options)
    else:
        done = run_on_ray(list(jobs.values()), options, ray_workers)
    with tqdm(total=len(jobs), unit="path", desc="archive", file=sys.stderr) as progress:
        for report in done:
            reports[Path(report["path"])] = report
            progress.update()
    for job in jobs.values():  # those whose worker was lost again and again
        lost = f"no worker came back with it in {TRIES} tries; Ray's logs say more"
        reports.setdefault(job.path, failed(job.path, lost))
    return [reports[path] for path in paths]


def run_here(jobs: Sequence[Job], options: SegmentOptions) -> Iterator[dict]:
    """One after the other, with one model."""
    load = cache(options.load)
    return (job.run(options, load) for job in jobs)


def run_on_ray(jobs: Sequence[Job], options: SegmentOptions, workers: int) -> Iterator[dict]:
    """Side by side on the cluster that ``RAY_ADDRESS`` names, or on this machine; reports as they
    come. A path whose worker is lost is segmented by another one.
    """
    import ray

    with redirect_stdout(sys.stderr):  # Ray prints there what it says of lost workers
        yield from _on_ray(ray, jobs, options, workers)


def _on_ray(
    ray: ModuleType, jobs: Sequence[Job], options: SegmentOptions, workers: int
) -> Iterator[dict]:
    ray.init(log_to_driver=False, logging_level="warning", runtime_env=WORKERS_ENVIRONMENT)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.max_errored_blocks = False, -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what is lost is in the reports
    resources = ray.cluster_resources()
    gpus = 0 if options.device == CPU else int(resources.get("GPU", 0))
    count = max(1, min(workers or gpus or 1, len(jobs)))
    smallest = min(int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["Alive"])
    cores = 1 if gpus else max(1, min(int(resources.get("CPU", 1)) // count, smallest))
    rows = [{"path": str(job.path), "out": str(job.out), "again": job.again} for job in jobs]
    items = ray.data.from_items(rows, override_num_blocks=len(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tries have no other parameter before Ray 2.64
        found = items.map(
            RayWorker,
            fn_constructor_args=(options,),
            compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1),
            num_cpus=cores,
            num_gpus=min(1.0, gpus / count) if gpus else None,
            max_task_retries=TRIES - 1,
            max_restarts=-1,
        )
    try:
        for row in found.iter_rows():
            yield json.loads(row["report"])
    finally:
        ray.shutdown()


class RayWorker:
    """What each process of the cluster keeps: a model, loaded for its first path."""

    def __init__(self, options: SegmentOptions) -> None:
        self.options, self.load = options, cache(options.load)

    def __call__(self, row: dict) -> dict:
        """A job as a row -> its report as one."""
        job = Job(Path(row["path"]), Path(row["out"]), row["again"])
        return {"report": json.dumps(job.run(self.options, self.load))}


def earlier_report(out: Path, settings: dict) -> dict | None:
    """The report of an earlier call with the same settings that came to its end; else None."""
    try:
        report = json.loads((out / REPORT).read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(report, dict) and "error" not in report
    return report if whole and report.get("settings") == settings else None


def as_table(reports: Sequence[dict]) -> str:
    """A line for each path."""
    lines = ["frames  flicker %  confidence %  moments  state      path"]
    for report in reports:
        if report["state"] == "failed":
            lines.append(f"{'':40}failed     {report['path']}: {report['error']}")
            continue
        flicker = "-" if report["flicker"] is None else f"{100 * report['flicker']:.2f}"
        lines.append(
            f"{report['frames_sent']:6}  {flicker:>9}  {100 * report['mean_confidence']:12.1f}  "
            f"{len(report['moments']):7}  {report['state']:9}  {report['path']}"
        )
    return "\n".join(lines)
