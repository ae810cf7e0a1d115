# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What masks can be written as: a folder of PNGs, shards of a WebDataset, a bag beside its topics.

The libraries of bags and shards are imported where one is written.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from t2g_core.recordings.result_folder import MaskedFrame
from t2g_core.runtime.runtime import Labelling

if TYPE_CHECKING:
    from t2g_core.recordings.bag_storage import StoredMessage

MASKS, SHARDS, BAG = "masks", "shards", "bag"
MASK_OUTPUTS = (MASKS, SHARDS, BAG)
SHARD_BYTES = 1 << 30
MASK_TOPIC, LABEL_TOPIC = "/segmenter/mask", "/segmenter/label_info"  # the node's


class MaskOutput(Protocol):
    """Takes the masks of a clip in turn; a context, which keeps what came where it ends early."""

    def __enter__(self) -> MaskOutput: ...

    def __exit__(self, *error: object) -> None: ...

    def write(self, frame: MaskedFrame, name: str) -> None:
        """The next mask and the name of its frame."""


class PngMasks:
    """A PNG a frame that holds class ids and shows their colours."""

    def __init__(self, out: Path, palette: np.ndarray) -> None:
        self.folder, self._colours = out / MASKS, colours_of(palette)

    def __enter__(self) -> PngMasks:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def write(self, frame: MaskedFrame, name: str) -> None:
        """As NAME.png."""
        (self.folder / f"{name}.png").write_bytes(as_png(frame.mask, self._colours))


class ShardedMasks:
    """Shards of a WebDataset: for each frame the same PNG, and its time in JSON, under its name.

    A name's dots become underscores, since a WebDataset takes what follows the first for a suffix.
    """

    def __init__(self, out: Path, palette: np.ndarray) -> None:
        self.folder, self._colours = out / SHARDS, colours_of(palette)

    def __enter__(self) -> ShardedMasks:
        from webdataset import ShardWriter

        shutil.rmtree(self.folder, ignore_errors=True)  # those of an earlier call may be more
        self.folder.mkdir(parents=True)
        pattern = f"{self.folder}/{MASKS}-%06d.tar"
        self._writer = ShardWriter(pattern, maxsize=SHARD_BYTES, verbose=0)
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write(self, frame: MaskedFrame, name: str) -> None:
        """As NAME.png and NAME.json."""
        record = json.dumps({"stamp_ns": frame.frame.stamp_ns}).encode()
        key = name.replace(".", "_")
        png = as_png(frame.mask, self._colours)
        self._writer.write({"__key__": key, "png": png, "json": record})


class BagOfMasks:
    """A copy of a bag, MCAP, that holds the masks beside the topics that were recorded.

    A mask follows its image, with the same header and time of recording, on the node's topic; the
    names of the classes are a message of ``vision_msgs/LabelInfo`` before the first. Whatever else
    the bag holds is copied byte for byte; ``whole`` says whether also what comes after the last
    mask.
    """

    def __init__(
        self, out: Path, source: Path, topic: str | None, class_names: tuple[str, ...], whole: bool
    ) -> None:
        from t2g_core.recordings.bag import Bag, pick_image_topic
        from t2g_core.recordings.bag_files import is_bag

        if not is_bag(source):
            raise ValueError(f"masks beside the topics of a bag: {source} is no bag")
        self.folder, self.whole = out / BAG, whole
        self._names = class_names
        self._topic = pick_image_topic(source, topic)
        self._bag = Bag(source)
        topics = {connection.topic for connection in self._bag.counts()}
        taken = " and ".join(sorted(topics & {MASK_TOPIC, LABEL_TOPIC}))
        if taken:
            raise ValueError(f"{source} has {taken} already: nothing is added to it")

    def __enter__(self) -> BagOfMasks:
        from t2g_core.recordings.bag import VISION_MSGS, BagWriter

        self._partial = self.folder.parent / ".partial" / BAG  # its file has its name
        shutil.rmtree(self._partial.parent, ignore_errors=True)
        self._writer = BagWriter(self._partial, VISION_MSGS, compressed=True).__enter__()
        self._origins = self._bag.origins()
        self._messages = self._bag.messages(None)
        self._begun = False
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None and self.whole:
                for message in self._messages:
                    self._copy(message)
        finally:
            self._writer.__exit__(*error)
            shutil.rmtree(self.folder, ignore_errors=True)
            self._partial.rename(self.folder)
            self._partial.parent.rmdir()

    def write(self, frame: MaskedFrame, name: str) -> None:
        """After its image."""
        from t2g_core.recordings.bag import is_image

        del name
        for message in self._messages:
            self._copy(message)
            if message.connection.topic == self._topic and is_image(message.connection):
                if not self._begun:
                    self._writer.write_label_info(LABEL_TOPIC, message, self._names)
                    self._begun = True
                self._writer.write_mask(MASK_TOPIC, message, frame.mask)
                return
        raise ValueError(f"{self._bag.path} holds fewer images than masks")

    def _copy(self, message: StoredMessage) -> None:
        self._writer.copy(message, self._origins[message.connection])


def open_outputs(
    kinds: Sequence[str],
    out: Path,
    source: Path,
    topic: str | None,
    labelling: Labelling,
    whole: bool,
) -> list[MaskOutput]:
    """Those of ``MASK_OUTPUTS`` that are asked for, in a result folder; not entered yet.

    source, topic: the clip, and of a bag the images' topic. whole: whether all of it is segmented.

    Raises ``ValueError`` for a bag of a clip that is none, or that holds masks already.
    """
    found: list[MaskOutput] = []
    if MASKS in kinds:
        found.append(PngMasks(out, labelling.palette))
    if SHARDS in kinds:
        found.append(ShardedMasks(out, labelling.palette))
    if BAG in kinds:
        found.append(BagOfMasks(out, source, topic, labelling.class_names, whole))
    return found


def written(
    frames: Iterable[MaskedFrame], names: Iterable[str], outputs: Sequence[MaskOutput]
) -> Iterator[MaskedFrame]:
    """Write each mask under its name into each output; pass it on."""
    for frame, name in zip(frames, names, strict=False):
        for output in outputs:
            output.write(frame, name)
        yield frame


def as_png(mask: np.ndarray, colours: bytes) -> bytes:
    """A mask ``(H, W)`` uint8 as a PNG of class ids with a palette."""
    picture = Image.fromarray(mask, "P")
    picture.putpalette(colours)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def colours_of(palette: np.ndarray) -> bytes:
    """A PNG's palette of 256 colours; ids without a class are black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours.tobytes()
