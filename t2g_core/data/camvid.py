# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""CamVid: driving video with a label on every listed frame (Brostow et al., 2009).

Three layouts are read as they unpack, images as JPEG or PNG. The full release of 701 frames, whose
splits are those of SegNet's lists::

    ROOT/701_StillsRaw_full/0001TP_006690.png
    ROOT/LabeledApproved_full/0001TP_006690_L.png

the eleven-class release that came with SegNet::

    ROOT/train/0001TP_006690.png     ROOT/val/...     ROOT/test/...
    ROOT/trainannot/0001TP_006690.png

and folders of one's own, labels under the same stem or the stem and ``_L``::

    ROOT/train/images/0001TP_006690.jpg     ROOT/val/images/...
    ROOT/train/labels/0001TP_006690.png     ROOT/val/labels/...

A label is either an index image of the eleven classes (11 or 255 is void), or one of the full
release's colour pictures of 32 classes, which are mapped by class name. A stem reads
``SEQUENCE_FRAME``; frame numbers count the 30 frames a second of the original video. One of them,
0016E5_00901, is a frame off the grid of 30; it does not end its video.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from t2g_core.data.class_tables import CAMVID_MERGED, CAMVID_TO_15, FIFTEEN_CLASSES, UNKNOWN
from t2g_core.data.unknown_labels import check_unknown
from t2g_core.data.video import Video, VideoFrame, cut_at_gaps, list_folder
from t2g_core.images.files import open_label
from t2g_core.labels import CAMVID_CLASSES, IGNORE_INDEX
from t2g_core.listing import by_stem, visible

_LOG = logging.getLogger(__name__)
VIDEO_RATE_HZ = 30.0
OFF_GRID = 1 / 30  # of a step: a frame of 30
FULL_IMAGES, FULL_LABELS = "701_StillsRaw_full", "LabeledApproved_full"
SPLITS = {  # of the full release: sequence, first and last frame
    "train": (
        ("0001TP", 6690, 8520),
        ("0006R0", 930, 3930),
        ("0016E5", 390, 7920),
        ("0016E5", 8190, 8640),
    ),
    "val": (("0016E5", 7959, 8159),),
    "test": (("0001TP", 8550, 10380), ("Seq05VD", 0, 5100)),
}
WRONG_LABELS = {("Seq05VD", 2610)}  # known of every copy
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


def camvid_splits(root: Path) -> list[str]:
    """The splits that are there, in whichever layout."""
    if (root / FULL_IMAGES).is_dir():
        return list(SPLITS)
    folders = [*root.glob("*annot"), *(images.parent for images in root.glob("*/images"))]
    return sorted({folder.name.removesuffix("annot") for folder in visible(folders)})


def load_camvid(root: str | Path, split: str) -> list[Video]:
    """List a split's videos with labels of ``CAMVID_CLASSES``, sorted by recording and number.

    A recording is cut wherever two frames are not its own step apart (the commonest difference of
    its frame numbers), so that no clip or window of a ``Video`` crosses a gap.

    Raises ``FileNotFoundError`` for a missing folder, a folder without images or an image or label
    without its partner, ``ValueError`` for a file name that is not ``SEQUENCE_FRAME``.
    """
    return _load(Path(root), split, read_label)


def load_camvid15(root: str | Path, split: str) -> list[Video]:
    """As ``load_camvid``, with labels of the fifteen classes."""
    return _load(Path(root), split, read_label15)


def load_camvid15_merged(root: str | Path, split: str) -> list[Video]:
    """As ``load_camvid15``, with what its table leaves void although it is one of the fifteen."""
    return _load(Path(root), split, read_label15_merged)


def read_label(path: str | Path) -> np.ndarray:
    """Read a label as ``(H, W)`` uint8 ids of ``CAMVID_CLASSES``, void as ``IGNORE_INDEX``.

    A grey or palette picture holds ids, a colour picture the full release's 32 colours.
    Ids and colours outside the table are void, see ``unknown_labels``. Raises
    ``FileNotFoundError``, or ``ValueError`` for a broken file and one mostly of unknown values.
    """
    to_eleven = {name: target for name, (_, target) in FULL_RELEASE.items() if target}
    return _read(Path(path), CAMVID_CLASSES, to_eleven)


def read_label15(path: str | Path) -> np.ndarray:
    """As ``read_label``, but ids of the fifteen classes, by name.

    The full release goes by appendix B. The eleven-class release has no wall, traffic light,
    truck & bus or motorcycle: their pixels are in its building, traffic sign, car and rider.
    """
    return _read(Path(path), FIFTEEN_CLASSES, CAMVID_TO_15)


def read_label15_merged(path: str | Path) -> np.ndarray:
    """As ``read_label15``, by the merged table: painted lines are road, vans cars."""
    return _read(Path(path), FIFTEEN_CLASSES, CAMVID_MERGED)


def _load(root: Path, split: str, reader: Callable[[Path], np.ndarray]) -> list[Video]:
    sequences: dict[str, list[VideoFrame]] = defaultdict(list)
    for image_path, label_path in _split_files(root, split):
        sequence, number = _parse_stem(image_path)
        if (sequence, number) in WRONG_LABELS:
            _LOG.warning("%s is left out: its label is wrong in the release", image_path)
            continue
        sequences[sequence].append(VideoFrame(sequence, number, image_path, label_path, reader))
    videos = []
    for sequence in sorted(sequences):
        frames = sorted(sequences[sequence], key=lambda frame: frame.number)
        videos += cut_at_gaps(frames, VIDEO_RATE_HZ, OFF_GRID)
    return videos


def _read(path: Path, class_names: tuple[str, ...], mapping: dict[str, str]) -> np.ndarray:
    """A label picture of either release as ids of ``class_names``; ``mapping`` is for colours."""
    picture = open_label(path)
    if picture.mode in ("L", "P"):
        return _ids_from_index(np.asarray(picture), path, class_names)
    if picture.mode in ("RGB", "RGBA"):
        colours = np.asarray(picture.convert("RGB"))
        targets = tuple(mapping.get(name) for name in FULL_RELEASE)
        return _ids_from_colours(colours, path, *_colour_table(class_names, targets))
    raise ValueError(
        f"{path}: a label is an 8-bit index or an RGB colour PNG, got mode {picture.mode}; "
        "convert it or take the label from the original release"
    )


def _split_files(root: Path, split: str) -> list[tuple[Path, Path]]:
    """Images and labels of a split, in whichever layout the root has."""
    if (root / FULL_IMAGES).is_dir():
        if split not in SPLITS:
            raise ValueError(f"CamVid has the splits {', '.join(SPLITS)}, got {split!r}")
        pairs = _pair_files(root / FULL_IMAGES, root / FULL_LABELS)
        return [pair for pair in pairs if _is_within(SPLITS[split], *_parse_stem(pair[0]))]
    if (root / f"{split}annot").is_dir():
        return _pair_files(root / split, root / f"{split}annot")
    return _pair_files(root / split / "images", root / split / "labels")


def _is_within(ranges: tuple[tuple[str, int, int], ...], sequence: str, number: int) -> bool:
    return any(sequence == s and first <= number <= last for s, first, last in ranges)


def _pair_files(image_folder: Path, label_folder: Path) -> list[tuple[Path, Path]]:
    """Pair images and labels by stem; every file must have its partner."""
    images = _files_by_stem(image_folder, (".jpg", ".jpeg", ".png"))
    labels = {
        stem.removesuffix("_L"): path
        for stem, path in _files_by_stem(label_folder, (".png",)).items()
    }
    for here, there, wanted, folder in (
        (images, labels, "label", label_folder),
        (labels, images, "image", image_folder),
    ):
        alone = sorted(here.keys() - there.keys())
        if alone:
            raise FileNotFoundError(
                f"{here[alone[0]]} has no {wanted} of the same name in {folder} "
                f"({len(alone)} such files); copy the {wanted}s again or remove these files"
            )
    return [(images[stem], labels[stem]) for stem in images]


def _files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    layout = (
        f"a CamVid root holds {FULL_IMAGES} and {FULL_LABELS}, or SPLIT and SPLITannot, or "
        "SPLIT/images and SPLIT/labels, where SPLIT is train, val or test"
    )
    files = [p for p in list_folder(folder, layout) if p.suffix.lower() in suffixes]
    if not files:
        raise FileNotFoundError(f"{folder} holds no {' or '.join(suffixes)} file; copy the data in")
    return by_stem(files)


def _parse_stem(path: Path) -> tuple[str, int]:
    """Split ``0006R0_f01290`` into ``("0006R0", 1290)``."""
    match = re.fullmatch(r"(.+)_f?(\d+)", path.stem)
    if match is None:
        raise ValueError(f"{path}: expected a name like 0001TP_006690 (SEQUENCE_FRAME); rename it")
    return match[1], int(match[2])


def _ids_from_index(ids: np.ndarray, path: Path, class_names: tuple[str, ...]) -> np.ndarray:
    table = np.full(256, UNKNOWN, dtype=np.uint8)
    table[: len(CAMVID_CLASSES)] = [class_names.index(name) for name in CAMVID_CLASSES]
    table[[VOID_ID, IGNORE_INDEX]] = IGNORE_INDEX
    mapped = table[ids]
    unknown = mapped == UNKNOWN
    if unknown.any():
        values = f"ids {np.unique(ids[unknown]).tolist()}"
        hint = f"expected 0 to {VOID_ID} or {IGNORE_INDEX}: is it a label of another class table?"
        check_unknown(path, unknown, values, hint)
        mapped[unknown] = IGNORE_INDEX
    return mapped


def _ids_from_colours(
    colours: np.ndarray, path: Path, known: np.ndarray, ids: np.ndarray
) -> np.ndarray:
    codes = _colour_codes(colours)  # (H, W, 3) -> (H, W)
    rows = np.searchsorted(known, codes).clip(max=len(known) - 1)
    unknown = known[rows] != codes
    if unknown.any():
        example = tuple(int(channel) for channel in colours[unknown][0])
        hint = "labels must be lossless and resized with nearest neighbour only"
        check_unknown(path, unknown, f"colours such as {example}", hint)
    return np.where(unknown, IGNORE_INDEX, ids[rows]).astype(np.uint8)


@cache
def _colour_table(
    class_names: tuple[str, ...], targets: tuple[str | None, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The sorted colour codes of the full release and the class id of each."""
    colours = np.array([colour for colour, _ in FULL_RELEASE.values()], dtype=np.uint8)
    ids = [IGNORE_INDEX if name is None else class_names.index(name) for name in targets]
    codes = _colour_codes(colours)
    order = np.argsort(codes)
    return codes[order], np.array(ids, dtype=np.uint8)[order]


def _colour_codes(colours: np.ndarray) -> np.ndarray:
    """Fold ``(..., 3)`` uint8 RGB into one integer a colour."""
    return colours.astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
