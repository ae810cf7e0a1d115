"""Which functions read the data set behind a ``--data`` name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2g_core.camvid import Video, load_camvid, read_label
from t2g_core.labels import CAMVID_CLASSES


@dataclass(frozen=True)
class Dataset:
    """A data set's classes, its ``(root, split)`` lister and its reader of one label.

    ``read_label`` gives ``(H, W)`` uint8 ids of ``class_names``, void as ``IGNORE_INDEX``. Images
    of every data set are read by ``camvid.read_image``. ``licence`` goes into every checkpoint that
    is trained on it.
    """

    class_names: tuple[str, ...]
    load_videos: Callable[[str | Path, str], list[Video]]
    read_label: Callable[[str | Path], np.ndarray]
    licence: str


CAMVID_LICENCE = (
    "Trained on CamVid (Brostow et al., 2009) as released with SegNet, CC BY-NC-SA 4.0: research "
    "and other non-commercial use."
)

DATASETS = {
    "camvid": Dataset(CAMVID_CLASSES, load_camvid, read_label, CAMVID_LICENCE),
}
