# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g scene`: render the street of `scene.py` into folders of images and labels."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
from tqdm import tqdm

from t2g_core.labels import CAMVID_CLASSES
from t2g_core.street.scene import StreetScene
from t2g_core.street.weather import WEATHERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``t2g scene``."""
    parser.add_argument("folder", type=Path, help="written: images/*.png and labels/*.png")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 360), metavar=("W", "H"))
    parser.add_argument("--rate", type=float, default=15.0, help="frames a second (default 15)")
    parser.add_argument("--weather", choices=WEATHERS, default="clear")
    parser.add_argument("--seed", type=int, default=7, help="another seed is another street")
    parser.add_argument(
        "--split",
        help="write into FOLDER/SPLIT, with classes.txt and rate_hz.txt in FOLDER: a data set to "
        "train and evaluate on (`own`)",
    )


def run(args: argparse.Namespace) -> int:
    """Render the street of ``args`` into its folder."""
    scene = StreetScene(args.seed, args.frames, *args.size, args.rate, args.weather)
    folder = args.folder / (args.split or "")
    if args.split:
        write_shared(args.folder / "classes.txt", "\n".join(CAMVID_CLASSES))
        write_shared(args.folder / "rate_hz.txt", f"{args.rate:g}")
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (image, labels) in enumerate(tqdm(scene, desc="scene", total=args.frames)):
        cv2.imwrite(str(folder / "images" / f"street_{index:05d}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / "labels" / f"street_{index:05d}.png"), labels)
    print(f"{args.frames} frames in {folder}")
    return 0


def write_shared(path: Path, text: str) -> None:
    """Write a file that all splits share; ValueError where another split has left another one."""
    held = path.read_text().strip() if path.exists() else text
    if held != text:
        raise ValueError(f"{path}: another split has {held!r} there, this one would have {text!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
