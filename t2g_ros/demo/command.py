# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The demo: a driving clip through the real node, over DDS, with pictures and figures at the end.

    python -m t2g_ros.demo [--clip PATH] [--out DIR]

Writes the clip as a bag, starts the node, replays the bag to it as fast as it can follow, records
its answers to a second bag, and makes the result folder from the two.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t2g_core.labels import CAMVID_CLASSES
from t2g_core.recordings.bag import BagWriter, PackedMasks, image_topics, read_masks, read_raw
from t2g_core.recordings.bag_clip import bag_frames
from t2g_core.recordings.clip_meter import latency_summary
from t2g_core.recordings.clip_source import ClipFrame, fit, open_clip
from t2g_core.recordings.result_folder import (
    REPORT,
    STRIP,
    VIDEO,
    MaskedFrame,
    headline,
    make_folder,
    write_pictures,
    write_report,
)
from t2g_core.streaming.continuity import MAX_GAP_S, NS
from t2g_core.streaming.labelling import read_labelling
from t2g_core.street.scene import StreetScene
from t2g_core.street.weather import WEATHERS
from t2g_ros.fast_dds import PROFILE_VARIABLES

if TYPE_CHECKING:  # ROS and PyTorch are imported where they are used: a missing one gets a sentence
    from t2g_ros.demo.replay import ReplayLog

IMAGE_TOPIC, LABELS_TOPIC = "/camera/image_raw", "/camera/labels"
MAX_WIDTH = 1920
STREET_SEED = 7
NEW = ".new"  # where a run writes, in its folder, until it has ended well


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m t2g_ros.demo", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--clip", type=Path, help="folder of images, video file or bag; default: a "
                        "rendered street")  # fmt: skip
    parser.add_argument("--topic", help="image topic of a bag that has several")
    parser.add_argument("--labels-topic", help="topic of a bag with its labels, mono8 class ids")
    parser.add_argument("--frames", type=int, default=60, help="at most so many (default 60)")
    parser.add_argument("--seconds", type=float, default=180.0, help="send nothing after so long, "
                        "on a machine that cannot follow faster (default 180)")  # fmt: skip
    parser.add_argument("--rate", type=float, default=15.0, help="frames a second of the rendered "
                        "street and of folders of images (default 15)")  # fmt: skip
    parser.add_argument("--size", type=int, nargs=2, default=(480, 360), metavar=("W", "H"),
                        help="of the rendered street (default 480 360)")  # fmt: skip
    parser.add_argument(
        "--weather", choices=WEATHERS, default="clear", help="on the rendered street"
    )
    parser.add_argument("--cameras", type=int, metavar="N", help="N rendered streets of different "
                        "sizes through one node at once, instead of a clip")  # fmt: skip
    parser.add_argument(
        "--checkpoint", type=Path, help="or a folder of `t2g export` (default: the shipped one)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="(default out/demo)")
    args = parser.parse_args(argv)
    if args.frames < 1:
        parser.error(f"--frames must be at least 1, got {args.frames}")
    return args


def clip_frames(args: argparse.Namespace) -> Iterator[ClipFrame]:
    """Yield the frames that ``args`` ask for; raises ValueError where there are none."""
    if args.clip is not None:
        frames = open_clip(args.clip, args.rate, args.topic, args.labels_topic)
        yield from fit(itertools.islice(frames, args.frames), MAX_WIDTH)
        return
    scene = StreetScene(STREET_SEED, args.frames, *args.size, args.rate, args.weather)
    for index, (image, labels) in enumerate(scene):
        yield ClipFrame(round(index * NS / args.rate), image, labels)


def write_clip(frames: Iterable[ClipFrame], bag: Path) -> list[int]:
    """Write images and labels to a new bag; return the stamps [ns].

    Times that do not start at a date (those of files) are counted from now on.
    """
    stamps: list[int] = []
    start_ns = None
    with BagWriter(bag) as writer:
        for frame in frames:
            if start_ns is None:
                start_ns = time.time_ns() if frame.stamp_ns < NS else 0
            if stamps and start_ns + frame.stamp_ns == stamps[-1]:
                raise ValueError(
                    "two frames of the clip have the same time, by which masks are told apart: "
                    "`t2g segment` takes such a bag"
                )
            stamps.append(start_ns + frame.stamp_ns)
            writer.write_image(IMAGE_TOPIC, stamps[-1], frame.image, "camera")
            if frame.labels is not None:
                writer.write_image(LABELS_TOPIC, stamps[-1], frame.labels, "camera")
    if not stamps:
        raise ValueError("the clip has no frames")
    return stamps


def run_node(args: argparse.Namespace, clip: Path, answers: Path) -> tuple[list[int], ReplayLog]:
    """Start the node, write the clip while it loads, replay it.

    Returns the clip's stamps [ns] and when its frames went out and their masks came back.
    """
    import rclpy

    from t2g_ros.demo.node_process import NodeProcess
    from t2g_ros.demo.replay import Replayer, Schedule

    log = args.out / "node.log"
    with NodeProcess(IMAGE_TOPIC, log, args.checkpoint, args.device) as node:
        say(f"the node is loading its model (log: {log}); writing the clip to {clip}")
        stamps = write_clip(clip_frames(args), clip)
        rclpy.init()
        try:
            replayer = Replayer(IMAGE_TOPIC)
            replayer.wait_until_ready(node)
            say("the node is ready; warming up")
            replayer.warm_up(next(read_raw(clip, IMAGE_TOPIC)).cdr, stamps[-1], node)
            latency_s = replayer.log.latencies_ms()[-1] / 1e3
            say(f"replaying {len(stamps)} frames; a mask takes {latency_s:.2f} s")
            step_s = median_step_s(stamps)
            schedule = Schedule(step_s, args.seconds)
            return stamps, replayer.replay(clip, IMAGE_TOPIC, answers, schedule, node)
        finally:
            rclpy.try_shutdown()


def median_step_s(stamps: list[int]) -> float:
    """The middle one of the steps between stamps [s]; 0 for a single frame."""
    steps = sorted(late - early for early, late in itertools.pairwise(stamps))
    return steps[len(steps) // 2] / NS if steps else 0.0


def segmented(clip: Path, answers: Path, with_labels: bool) -> Iterator[MaskedFrame]:
    """Yield the clip's frames with the masks that came back for them."""
    from t2g_ros.demo.replay import MASK_TOPIC

    masks = PackedMasks(read_masks(answers, MASK_TOPIC))
    for frame in bag_frames(clip, IMAGE_TOPIC, LABELS_TOPIC if with_labels else None):
        yield MaskedFrame(frame, masks.take(frame.stamp_ns))


def write_results(
    args: argparse.Namespace, clip: Path, answers: Path, stamps: list[int], log: ReplayLog
) -> dict:
    """Write pictures and report.json; return the report.

    Labels count only where the checkpoint has the classes that they are in.
    """
    labelling = read_labelling(args.checkpoint)
    names = labelling.class_names
    with_labels = LABELS_TOPIC in image_topics(clip) and names == CAMVID_CLASSES
    step_s = median_step_s(stamps)
    rate_hz = 1 / step_s if step_s else args.rate
    frames = segmented(clip, answers, with_labels)
    palette = np.array(labelling.palette, np.uint8)
    report = {
        "clip": str(args.clip) if args.clip else f"rendered street, {args.weather}",
        "clip_rate_hz": round(rate_hz, 3),
        **replay_figures(log),
        **write_pictures(args.out, frames, names, palette, rate_hz, MAX_GAP_S),
    }
    write_report(args.out, report)
    return report


def replay_figures(log: ReplayLog) -> dict:
    """What the replay itself showed: counts, latency from sending to receiving, masks a second."""
    sent, received = len(log.sent_s), len(log.received_s)
    seconds = max(log.received_s.values()) - min(log.sent_s.values())
    return {
        "frames_sent": sent,
        "masks_received": received,
        "dropped": sent - received,
        "latency_ms": latency_summary(log.latencies_ms()),
        "fps": round(received / seconds, 3),
    }


def say(sentence: str) -> None:
    """Print what happens now, with the time since the start."""
    print(f"[{time.monotonic() - STARTED_S:5.1f} s] {sentence}", flush=True)


STARTED_S = time.monotonic()


def use_large_shared_memory() -> None:
    """For this process and the node, where no other profile of Fast DDS is set."""
    from ament_index_python.packages import get_package_share_directory

    profile = Path(get_package_share_directory("t2g_ros"), "config", "fastdds_large_images.xml")
    if not any(name in os.environ for name in PROFILE_VARIABLES):
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))


def take_over(new: Path, out: Path) -> None:
    """Put the results of a run that has ended well in the place of the last ones."""
    for path in new.iterdir():
        old = out / path.name
        if old.is_dir():
            shutil.rmtree(old)
        path.replace(old)
    new.rmdir()


def one_camera(args: argparse.Namespace, out: Path) -> list[str]:
    """The clip through the node; what to print in the end."""
    clip, answers = args.out / "clip_bag", args.out / "answers_bag"
    stamps, log = run_node(args, clip, answers)
    if not log.received_s:
        raise RuntimeError(f"no mask came back; see {args.out / 'node.log'}")
    say("writing the pictures")
    report = write_results(args, clip, answers, stamps, log)
    return [headline(report), *(str(out / name) for name in (VIDEO, STRIP, REPORT))]


def several_cameras(args: argparse.Namespace, out: Path) -> list[str]:
    """Rendered streets through the node at once; what to print in the end."""
    from t2g_ros.demo.cameras import lines, run_cameras

    return lines(run_cameras(args, say), out)


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 1 with a sentence where it cannot."""
    args = parse(argv)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_large_shared_memory()
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    out, args.out = args.out, args.out / NEW
    try:
        make_folder(out)
        shutil.rmtree(args.out, ignore_errors=True)
        args.out.mkdir()
        told = several_cameras(args, out) if args.cameras else one_camera(args, out)
        take_over(args.out, out)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"demo: {error}; `make setup` builds the ROS package", file=sys.stderr)
        return 1
    say("done")
    print("\n".join(told))
    return 0
