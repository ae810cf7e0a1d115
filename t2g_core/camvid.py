"""CamVid: driving video with a label on every listed frame (Brostow et al., 2009).

Expected on disk, images as JPEG or PNG, labels as PNG under the same stem (or the stem and ``_L``,
as the full release writes them)::

    ROOT/train/images/0001TP_006690.jpg     ROOT/val/images/...
    ROOT/train/labels/0001TP_006690.png     ROOT/val/labels/...

A label is either an index image of the eleven classes (11 or 255 is void), or one of the full
release's colour pictures of 32 classes, which are mapped by class name. A stem reads
``SEQUENCE_FRAME``; frame numbers count the 30 frames a second of the original video.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX

VIDEO_RATE_HZ = 30.0
VOID_ID = 11  # of the eleven-class release; read_label turns it into IGNORE_INDEX

# The 32 classes of the full release: colour, and the class it counts as (None: void).
FULL_RELEASE: dict[str, tuple[tuple[int, int, int], str | None]] = {
    "Animal": ((64, 128, 64), "person"),
    "Archway": ((192, 0, 128), "building"),
    "Bicyclist": ((0, 128, 192), "rider"),
    "Bridge": ((0, 128, 64), "building"),
    "Building": ((128, 0, 0), "building"),
    "Car": ((64, 0, 128), "car"),
    "CartLuggagePram": ((64, 0, 192), "person"),
    "Child": ((192, 128, 64), "person"),
    "Column_Pole": ((192, 192, 128), "pole"),
    "Fence": ((64, 64, 128), "fence"),
    "LaneMkgsDriv": ((128, 0, 192), "road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "road"),
    "Misc_Text": ((128, 128, 64), "traffic sign"),
    "MotorcycleScooter": ((192, 0, 192), "rider"),
    "OtherMoving": ((128, 64, 64), "car"),
    "ParkingBlock": ((64, 192, 128), "sidewalk"),
    "Pedestrian": ((64, 64, 0), "person"),
    "Road": ((128, 64, 128), "road"),
    "RoadShoulder": ((128, 128, 192), "sidewalk"),
    "SUVPickupTruck": ((64, 128, 192), "car"),
    "Sidewalk": ((0, 0, 192), "sidewalk"),
    "SignSymbol": ((192, 128, 128), "traffic sign"),
    "Sky": ((128, 128, 128), "sky"),
    "TrafficCone": ((0, 0, 64), "pole"),
    "TrafficLight": ((0, 64, 64), "traffic sign"),
    "Train": ((192, 64, 128), "car"),
    "Tree": ((128, 128, 0), "vegetation"),
    "Truck_Bus": ((192, 128, 192), "car"),
    "Tunnel": ((64, 0, 64), "building"),
    "VegetationMisc": ((192, 192, 0), "vegetation"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "building"),
}


@dataclass(frozen=True)
class VideoFrame:
    """One frame: the recording it comes from, its number there, and its two files."""

    video: str
    number: int
    image_path: Path
    label_path: Path


@dataclass(frozen=True)
class Video:
    """Frames of one recording at one rate, without a gap between them.

    ``rate_hz`` is 0.0 for a recording of which the split holds a single frame: it has no rate.
    """

    name: str
    rate_hz: float
    frames: tuple[VideoFrame, ...]


def load_camvid(root: str | Path, split: str) -> list[Video]:
    """List a split's videos, sorted by recording and frame number.

    A recording is cut wherever two frames are not its own step apart (the commonest difference of
    its frame numbers), so that no clip or window of a ``Video`` crosses a gap.

    Raises ``FileNotFoundError`` for a missing folder, a folder without images or an image or label
    without its partner, ``ValueError`` for a file name that is not ``SEQUENCE_FRAME``.
    """
    sequences: dict[str, list[VideoFrame]] = defaultdict(list)
    for image_path, label_path in _pair_files(Path(root) / split):
        sequence, number = _parse_stem(image_path)
        sequences[sequence].append(VideoFrame(sequence, number, image_path, label_path))
    videos = []
    for sequence in sorted(sequences):
        frames = sorted(sequences[sequence], key=lambda frame: frame.number)
        videos += cut_at_gaps(frames, VIDEO_RATE_HZ)
    return videos


def cut_at_gaps(frames: list[VideoFrame], video_rate_hz: float) -> list[Video]:
    """Cut one recording's frames, sorted by number, into gapless videos.

    ``video_rate_hz`` is the rate at which the frame numbers count. Raises ``ValueError`` when a
    number occurs twice.
    """
    numbers = [frame.number for frame in frames]
    steps = np.diff(numbers).tolist()
    if 0 in steps:
        twice = frames[steps.index(0)]
        raise ValueError(f"frame {twice.number} of {twice.video} occurs twice: {twice.image_path}")
    # Of equally common steps the smallest: a larger one is more likely to be a gap.
    step = min(Counter(steps).items(), key=lambda item: (-item[1], item[0]))[0] if steps else None
    starts = [0] + [i + 1 for i, found in enumerate(steps) if found != step]
    ends = starts[1:] + [len(frames)]
    rate_hz = video_rate_hz / step if step else 0.0
    return [_video(frames[a:b], rate_hz) for a, b in zip(starts, ends, strict=True)]


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture as ``(H, W, 3)`` uint8 RGB.

    Raises ``FileNotFoundError`` or, for a file that is no whole picture, ``ValueError``.
    """
    return np.asarray(_open_whole(Path(path)).convert("RGB"))


def read_label(path: str | Path) -> np.ndarray:
    """Read a label as ``(H, W)`` uint8 ids of ``CAMVID_CLASSES``, void as ``IGNORE_INDEX``.

    A grey or palette picture holds ids, a colour picture the full release's 32 colours.
    Raises ``FileNotFoundError``, or ``ValueError`` for a broken file and for ids or colours that
    are not in the table.
    """
    path = Path(path)
    picture = _open_whole(path)
    if picture.mode in ("L", "P"):
        return _ids_from_index(np.asarray(picture), path)
    if picture.mode in ("RGB", "RGBA"):
        return _ids_from_colours(np.asarray(picture.convert("RGB")), path)
    raise ValueError(
        f"{path}: a label is an 8-bit index or an RGB colour PNG, got mode {picture.mode}; "
        "convert it or take the label from the original release"
    )


def _video(frames: list[VideoFrame], rate_hz: float) -> Video:
    name = f"{frames[0].video}_{frames[0].number:05d}-{frames[-1].number:05d}"
    return Video(name, rate_hz, tuple(frames))


def _pair_files(split_dir: Path) -> list[tuple[Path, Path]]:
    """Pair images and labels by stem; every file must have its partner."""
    images = _files_by_stem(split_dir / "images", (".jpg", ".jpeg", ".png"))
    labels = {
        stem.removesuffix("_L"): path
        for stem, path in _files_by_stem(split_dir / "labels", (".png",)).items()
    }
    for here, there, wanted in ((images, labels, "label"), (labels, images, "image")):
        alone = sorted(here.keys() - there.keys())
        if alone:
            raise FileNotFoundError(
                f"{here[alone[0]]} has no {wanted} of the same name in {split_dir / wanted}s "
                f"({len(alone)} such files); copy the {wanted}s again or remove these files"
            )
    return [(images[stem], labels[stem]) for stem in images]


def _files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder; a CamVid root holds SPLIT/images and SPLIT/labels, "
            "where SPLIT is train or val"
        )
    files = {path.stem: path for path in folder.iterdir() if path.suffix.lower() in suffixes}
    if not files:
        raise FileNotFoundError(f"{folder} holds no {' or '.join(suffixes)} file; copy the data in")
    return files


def _parse_stem(path: Path) -> tuple[str, int]:
    """Split ``0006R0_f01290`` into ``("0006R0", 1290)``."""
    match = re.fullmatch(r"(.+)_f?(\d+)", path.stem)
    if match is None:
        raise ValueError(f"{path}: expected a name like 0001TP_006690 (SEQUENCE_FRAME); rename it")
    return match[1], int(match[2])


def _open_whole(path: Path) -> Image.Image:
    """Open and decode a picture, so that a truncated one is found here and by name."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the data's root and split")
    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise ValueError(f"{path} is not a whole picture ({error}); copy the file again") from error
    return picture


def _ids_from_index(ids: np.ndarray, path: Path) -> np.ndarray:
    table = np.full(256, VOID_ID, dtype=np.uint8)
    table[: len(CAMVID_CLASSES)] = np.arange(len(CAMVID_CLASSES))
    table[[VOID_ID, IGNORE_INDEX]] = IGNORE_INDEX
    mapped = table[ids]
    if (mapped == VOID_ID).any():
        raise ValueError(
            f"{path} holds ids {np.unique(ids[mapped == VOID_ID]).tolist()}, expected 0 to "
            f"{VOID_ID} or {IGNORE_INDEX}; is it a label of another class table?"
        )
    return mapped


def _ids_from_colours(colours: np.ndarray, path: Path) -> np.ndarray:
    known, ids = _colour_table()
    codes = _colour_codes(colours)  # (H, W, 3) -> (H, W)
    rows = np.searchsorted(known, codes).clip(max=len(known) - 1)
    unknown = known[rows] != codes
    if unknown.any():
        example = tuple(int(channel) for channel in colours[unknown][0])
        raise ValueError(
            f"{path} holds {int(unknown.sum())} pixels of colours that no CamVid class has, such "
            f"as {example}; labels must be lossless and resized with nearest neighbour only"
        )
    return ids[rows]


def _colour_table() -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted colour codes of the full release and the class id of each."""
    colours = np.array([colour for colour, _ in FULL_RELEASE.values()], dtype=np.uint8)
    ids = np.array(
        [
            IGNORE_INDEX if name is None else CAMVID_CLASSES.index(name)
            for _, name in FULL_RELEASE.values()
        ],
        dtype=np.uint8,
    )
    codes = _colour_codes(colours)
    order = np.argsort(codes)
    return codes[order], ids[order]


def _colour_codes(colours: np.ndarray) -> np.ndarray:
    """Fold ``(..., 3)`` uint8 RGB into one integer a colour."""
    return colours.astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
