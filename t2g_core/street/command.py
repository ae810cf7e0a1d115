"""`t2g scene`: render the street of `street_scene.py` into folders of images and labels."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

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


def run(args: argparse.Namespace) -> int:
    """Render the street of ``args`` into its folder."""
    scene = StreetScene(args.seed, args.frames, *args.size, args.rate, args.weather)
    for name in ("images", "labels"):
        (args.folder / name).mkdir(parents=True, exist_ok=True)
    for index, (image, labels) in enumerate(scene):
        cv2.imwrite(str(args.folder / "images" / f"street_{index:05d}.png"), image[..., ::-1])
        cv2.imwrite(str(args.folder / "labels" / f"street_{index:05d}.png"), labels)
    print(f"{args.frames} frames in {args.folder}")
    return 0
