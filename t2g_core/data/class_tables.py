# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The label ids of each data set and the class of appendix B that each name counts as.

Everything goes by class name. The numbers of the paper's Table 8 are train ids, and its CamVid
column gives wall the number of Void, so they are not used. A name without an entry in a ``TO_15``
table is void.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from t2g_core.data.unknown_labels import check_unknown
from t2g_core.images.files import open_label
from t2g_core.labels import IGNORE_INDEX

FIFTEEN_CLASSES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "sky",
    "person",
    "rider",
    "car",
    "truck & bus",
    "motorcycle",
)
_SAME = {name: name for name in FIFTEEN_CLASSES}

# gtFine *_labelIds.png
_CITYSCAPES_NAMES = (
    *("unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic"),
    *("ground", "road", "sidewalk", "parking", "rail track", "building", "wall", "fence"),
    *("guard rail", "bridge", "tunnel", "pole", "polegroup", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "caravan"),
    *("trailer", "train", "motorcycle", "bicycle"),
)
CITYSCAPES_IDS = {name: number for number, name in enumerate(_CITYSCAPES_NAMES)}
CITYSCAPES_TO_15 = {**_SAME, "truck": "truck & bus", "bus": "truck & bus"}

# data_2d_semantics: the ids of Cityscapes and eleven more, which its own scripts fold as here.
_KITTI360_NAMES = (
    *_CITYSCAPES_NAMES,
    *("garage", "gate", "stop", "smallpole", "lamp", "trash bin", "vending machine", "box"),
    *("unknown construction", "unknown vehicle", "unknown object"),
)
KITTI360_IDS = {name: number for number, name in enumerate(_KITTI360_NAMES)}
KITTI360_TO_15 = CITYSCAPES_TO_15 | {"garage": "building", "gate": "fence", "smallpole": "pole"}

# Label/**/*_bin.png, names spelt as in its class table
APOLLOSCAPE_IDS = {
    "others": 0,
    "rover": 1,
    "sky": 17,
    "car": 33,
    "motorbicycle": 34,
    "bicycle": 35,
    "person": 36,
    "rider": 37,
    "truck": 38,
    "bus": 39,
    "tricycle": 40,
    "road": 49,
    "siderwalk": 50,
    "traffic_cone": 65,
    "road_pile": 66,
    "fence": 67,
    "traffic_light": 81,
    "pole": 82,
    "traffic_sign": 83,
    "wall": 84,
    "dustbin": 85,
    "billboard": 86,
    "building": 97,
    "bridge": 98,
    "tunnel": 99,
    "overpass": 100,
    "vegatation": 113,
    "car_groups": 161,
    "motorbicycle_group": 162,
    "bicycle_group": 163,
    "person_group": 164,
    "rider_group": 165,
    "truck_group": 166,
    "bus_group": 167,
    "tricycle_group": 168,
    "unlabeled": 255,
}
APOLLOSCAPE_TO_15 = {
    "road": "road",
    "siderwalk": "sidewalk",
    "building": "building",
    "wall": "wall",
    "fence": "fence",
    "pole": "pole",
    "traffic_light": "traffic light",
    "traffic_sign": "traffic sign",
    "vegatation": "vegetation",
    "sky": "sky",
    "person": "person",
    "person_group": "person",
    "rider": "rider",
    "rider_group": "rider",
    "car": "car",
    "car_groups": "car",
    "truck": "truck & bus",
    "truck_group": "truck & bus",
    "bus": "truck & bus",
    "bus_group": "truck & bus",
    "motorbicycle": "motorcycle",
    "motorbicycle_group": "motorcycle",
}

# The full release's names (colours in camvid.py); the eleven-class release has our own names.
CAMVID_TO_15 = {
    "Road": "road",
    "Sidewalk": "sidewalk",
    "Building": "building",
    "Wall": "wall",
    "Fence": "fence",
    "Column_Pole": "pole",
    "TrafficLight": "traffic light",
    "SignSymbol": "traffic sign",
    "Tree": "vegetation",
    "VegetationMisc": "vegetation",
    "Sky": "sky",
    "Pedestrian": "person",
    "Bicyclist": "rider",
    "Car": "car",
    "Truck_Bus": "truck & bus",
    "MotorcycleScooter": "motorcycle",
}

# As the table above, and with the paint on the road, vans and children, which it leaves void.
CAMVID_MERGED = CAMVID_TO_15 | {
    "LaneMkgsDriv": "road",
    "LaneMkgsNonDriv": "road",
    "SUVPickupTruck": "car",
    "Child": "person",
}

# Every name above that stands for one of the fifteen.
SHARED_NAMES = CITYSCAPES_TO_15 | KITTI360_TO_15 | APOLLOSCAPE_TO_15 | CAMVID_TO_15

UNKNOWN = 254  # in a lookup table: an id that the data set does not have


def lookup_table(
    ids: dict[str, int], mapping: dict[str, str], class_names: tuple[str, ...]
) -> np.ndarray:
    """``(256,)`` uint8: class id by label id; void is ``IGNORE_INDEX``, other ids ``UNKNOWN``."""
    table = np.full(256, UNKNOWN, dtype=np.uint8)
    for name, number in ids.items():
        target = mapping.get(name)
        table[number] = IGNORE_INDEX if target is None else class_names.index(target)
    return table


def read_ids(path: str | Path, table: np.ndarray) -> np.ndarray:
    """Read an 8-bit grey or palette picture of ids through a table of ``lookup_table``.

    Returns ``(H, W)`` uint8 class ids, void as ``IGNORE_INDEX``; ids outside the table are void
    too, see ``unknown_labels``. Raises ``FileNotFoundError``, or ``ValueError`` for a broken file,
    another kind of picture and one that is mostly of unknown ids.
    """
    path = Path(path)
    picture = open_label(path)
    if picture.mode not in ("L", "P"):
        raise ValueError(
            f"{path}: expected an 8-bit picture of ids, got mode {picture.mode}; take the id "
            "pictures of the release, not its colour or instance ones"
        )
    ids = np.asarray(picture)
    mapped = table[ids]
    unknown = mapped == UNKNOWN
    if unknown.any():
        values = f"ids {np.unique(ids[unknown]).tolist()}"
        check_unknown(path, unknown, values, "is it a label of another data set, or of train ids?")
        mapped[unknown] = IGNORE_INDEX
    return mapped
