# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How the content of an image moved since the mask before, to compare the two masks by."""

from __future__ import annotations

import numpy as np

from t2g_core.images.model_input import fit_size, resize
from t2g_core.images.motion import Motion, motion, structure
from t2g_core.streaming.video_segmenter import SegmentedFrame


class MaskMotion:
    """Of one video: the flow that the method has found, else one that is computed for this alone.

    A method finds none that keeps no memory of pixels, and another one where frames in between are
    not remembered.
    """

    def __init__(self, input_size: tuple[int, int]) -> None:
        """input_size: width, height that give the area of the images it is searched in."""
        self._input_size = input_size
        self._image: np.ndarray | None = None
        self._structure: np.ndarray | None = None  # of that image, once it was needed

    def update(self, image: np.ndarray, segmented: SegmentedFrame) -> Motion | None:
        """The motion of the next image, (H, W, 3) uint8 RGB; None where nothing went before."""
        before, its_structure = self._image, self._structure
        self._image, self._structure = image, None
        if segmented.reset is not None or before is None or before.shape != image.shape:
            return None
        if segmented.motion is not None:
            return segmented.motion
        self._structure = self._structure_of(image)
        if its_structure is None:
            its_structure = self._structure_of(before)
        return motion(self._structure, its_structure)

    def _structure_of(self, image: np.ndarray) -> np.ndarray:
        size = fit_size((image.shape[1], image.shape[0]), self._input_size)
        return structure(resize(image, size))
