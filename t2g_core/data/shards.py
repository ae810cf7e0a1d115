# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A labelled data set as shards of a WebDataset: few large tar files instead of many small ones.

A sample is the image file as it was, its label as a PNG of class ids, and what a loader needs to
know in JSON. An index says where each lies, so that a training reads any frame at once; without it
any program reads the shards from front to back (`webdataset.WebDataset`).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple

import cv2
import numpy as np

from t2g_core.data.video import Video, VideoFrame
from t2g_core.images.files import open_label, read_image
from t2g_core.whole_files import replacing

INDEX = "shards.json"
FORMAT = 1
NO_INDEX = "is no index of shards; write the shards again with `t2g data shard`"
SHARD_BYTES = 1 << 28
JPEG_QUALITY = 95
LABEL, RECORD = "seg.png", "json"
AS_IT_IS, JPEG, PNG = "as it is", "jpeg", "png"
ENCODERS = {JPEG: (".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]), PNG: (".png", [])}


class Size(NamedTuple):
    """What `Path.stat` says that is asked for here."""

    st_size: int


@dataclass(frozen=True, order=True)
class Member:
    """A file inside a shard, with what readers of pictures ask of a `pathlib.Path`."""

    shard: Path
    name: str
    offset: int
    size: int

    @property
    def stem(self) -> str:
        """The name without what follows its last dot."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """What follows the last dot of its name, and the dot."""
        return Path(self.name).suffix

    @property
    def parent(self) -> Path:
        """The shard."""
        return self.shard

    def is_file(self) -> bool:
        """Whether the shard is there."""
        return self.shard.is_file()

    def stat(self) -> Size:
        """Its size [bytes]."""
        return Size(self.size)

    def read_bytes(self) -> bytes:
        """All of it; less where the shard was cut."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def open(self, mode: str = "rb") -> IO[bytes]:
        """As a file to read."""
        if mode != "rb":
            raise ValueError(f"{self}: expected mode rb, got {mode!r}")
        return io.BytesIO(self.read_bytes())

    def relative_to(self, root: Path) -> Path:
        """As a path below `root`."""
        return self.shard.relative_to(root) / self.name

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"


def write_shards(
    videos: Sequence[Video],
    out: Path,
    split: str,
    classes: dict[str, tuple[int, int, int]],
    licence: str,
    encoding: str = AS_IT_IS,
    shard_bytes: int = SHARD_BYTES,
    on_frame: Callable[[], None] = lambda: None,
) -> int:
    """Write a split as `SPLIT-000000.tar` and so on, and add it to the index; number of shards.

    classes: their colours, RGB, by name in the order of their ids. encoding: of the images, as they
    are, `jpeg` or `png`. A split that is in the index already is replaced when all is written.

    Raises:
        ValueError: the index is of other classes; a picture is broken.
    """
    from webdataset import ShardWriter

    out.mkdir(parents=True, exist_ok=True)
    index = read_index(out) if (out / INDEX).is_file() else {"format": FORMAT, "splits": {}}
    head = {"classes": {n: tuple(colour) for n, colour in classes.items()}, "licence": licence}
    if index["splits"] and index["classes"] != head["classes"]:
        raise ValueError(f"{out / INDEX} is of other classes; choose another folder")
    with TemporaryDirectory(dir=out, prefix=".partial-") as partial:
        pattern = f"{partial}/{split}-%06d.tar"
        with ShardWriter(pattern, maxsize=shard_bytes, verbose=0) as writer:
            for number, video in enumerate(videos):
                for position, frame in enumerate(video.frames):
                    writer.write(_sample(number, video, position, frame, encoding))
                    on_frame()
        shards = sorted(Path(partial).iterdir())
        entry = {"shards": [shard.name for shard in shards], "videos": _index_of(shards)}
        for old in index["splits"].get(split, {"shards": ()})["shards"]:
            (out / Path(old).name).unlink(missing_ok=True)
        for shard in shards:
            shard.replace(out / shard.name)
    index |= head | {"splits": index["splits"] | {split: entry}}
    with replacing(out / INDEX) as path:
        path.write_text(json.dumps(index))
    return len(shards)


def _sample(number: int, video: Video, position: int, frame: VideoFrame, encoding: str) -> dict:
    suffix, data = encoded(frame.image_path, encoding)
    record = {"clip": number, "name": video.name, "rate_hz": video.rate_hz}
    record |= {"video": frame.video, "number": frame.number}
    key = f"{number:05d}_{position:06d}_{frame.video}_{frame.number}".replace(".", "_")
    sample = {"__key__": key.replace("/", "_"), suffix[1:]: data}
    if frame.label_path is not None:
        ids = frame.label_reader(frame.label_path)
        if encoding != AS_IT_IS:  # the pixels stand upright then
            ids = frame.read_label()
        sample[LABEL] = cv2.imencode(".png", ids)[1].tobytes()
    return sample | {RECORD: json.dumps(record).encode()}


def encoded(image: Path, encoding: str) -> tuple[str, bytes]:
    """Suffix and bytes of an image as it is, or written anew as `jpeg` or `png`."""
    if encoding == AS_IT_IS:
        return image.suffix.lower(), image.read_bytes()
    suffix, options = ENCODERS[encoding]
    return suffix, cv2.imencode(suffix, read_image(image)[..., ::-1], options)[1].tobytes()


def _index_of(shards: Sequence[Path]) -> list[dict]:
    """By video: its name and rate, and of each frame its number and where image and label lie."""
    videos: dict[int, dict] = {}
    for place, shard in enumerate(shards):
        with tarfile.open(shard) as tar:
            samples: dict[str, dict[str, tarfile.TarInfo]] = {}
            for member in tar:
                key, _, kind = member.name.partition(".")
                samples.setdefault(key, {})[kind] = member
            for parts in samples.values():
                record = json.load(tar.extractfile(parts.pop(RECORD)))
                label = parts.pop(LABEL, None)
                (image,) = parts.values()
                video = videos.setdefault(
                    record["clip"],
                    {"name": record["name"], "rate_hz": record["rate_hz"], "frames": []},
                )
                found = [[m.name, m.offset_data, m.size] for m in (image, label) if m is not None]
                video["frames"].append([record["video"], record["number"], place, *found])
    return [videos[number] for number in sorted(videos)]


def read_index(root: str | Path) -> dict:
    """The index of a folder of shards.

    Raises:
        FileNotFoundError, ValueError: there is none, or one of another version.
    """
    path = Path(root) / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; `t2g data shard` writes it")
    try:
        index = json.loads(path.read_text())
        if index["format"] == FORMAT:
            colours = {name: tuple(colour) for name, colour in dict(index["classes"]).items()}
            found = {"classes": colours, "splits": dict(index["splits"])}
            return found | {"format": FORMAT, "licence": str(index["licence"])}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} {NO_INDEX}") from error
    raise ValueError(f"{path} is of format {index['format']}, expected {FORMAT}")


def shard_splits(root: str | Path) -> list[str]:
    """Those that the index has."""
    return sorted(read_index(root)["splits"]) if (Path(root) / INDEX).is_file() else []


def load_shards(root: str | Path, split: str) -> list[Video]:
    """The videos of a split.

    Raises:
        FileNotFoundError: it or one of its shards is not there.
        ValueError: the index is none.
    """
    root = Path(root)
    splits = read_index(root)["splits"]
    if split not in splits:
        raise FileNotFoundError(f"{root / INDEX} has the splits {sorted(splits)}, not {split!r}")
    try:
        shards = [root / Path(name).name for name in splits[split]["shards"]]
        videos = [_video(video, shards) for video in splits[split]["videos"]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{root / INDEX} {NO_INDEX}") from error
    for shard in shards:
        if not shard.is_file():
            raise FileNotFoundError(f"{shard} does not exist; copy the folder again")
    return videos


def _video(video: dict, shards: Sequence[Path]) -> Video:
    frames = tuple(
        VideoFrame(name, int(number), *members(shards[place], files), read_ids)
        for name, number, place, *files in video["frames"]
    )
    return Video(video["name"], float(video["rate_hz"]), frames)


def members(shard: Path, files: Sequence[list]) -> tuple[Member, Member | None]:
    """Image and label, None where there is none."""
    found = [Member(shard, str(name), int(start), int(size)) for name, start, size in files]
    return found[0], found[1] if len(found) > 1 else None


def read_ids(path: Member) -> np.ndarray:
    """A label as it was written."""
    return np.asarray(open_label(path))
