"""One complete YAML a model: encoder, trainable head, training. Unknown keys raise."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from pathlib import Path

import yaml

from t2g_core.data import datasets
from t2g_core.device import BF16, FP32
from t2g_core.encoders.class_text import TextConfig
from t2g_core.encoders.depth_anything import DepthConfig
from t2g_core.encoders.frozen_vit import EncoderConfig
from t2g_core.methods.frame_head import FrameHeadConfig
from t2g_core.methods.time2general.time2general import Time2GeneralConfig

ALL, FRAME_PATH, TEMPORAL = "all", "frame_path", "temporal"  # what a stage trains


@dataclass(frozen=True)
class StageConfig:
    """A stretch of a training with a schedule of its own.

    learning_rate: decays polynomially (power 0.9) to zero over the stage's iterations.
    trains: `frame_path`, what sees one frame alone, through the pixel classifier, without the rest;
        `temporal`, what frames meet in, on the frame path as the stages before have averaged
        it, its batch norms measured on plain frames; or `all`. Frame-by-frame heads have no
        temporal parts.
    dropout: probability with which a channel of the pixels' context is left out, others in each
        frame. On frames that it has learned from the frame path errs little; a memory that is to
        learn what averaging is good for needs one that errs as it does elsewhere.
    clip_frames: most frames of a clip; their number is drawn anew each iteration, long ones more
        often, so that a filling buffer is a seen case. 1: frames alone.
    frames_per_step: an iteration takes as many clips as fit into it, at least one.
    plain_share: share of the clips of undistorted frames (whole frames, encoded once, of which an
        iteration cuts a window); the others are distorted crops.
    """

    iterations: int
    learning_rate: float
    clip_frames: int
    frames_per_step: int
    plain_share: float
    trains: str = ALL
    dropout: float = 0.0

    def __post_init__(self):
        if self.trains not in (ALL, FRAME_PATH, TEMPORAL):
            raise ValueError(
                f"trains: expected {ALL}, {FRAME_PATH} or {TEMPORAL}, got {self.trains!r}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected 0 to below 1, got {self.dropout}")


@dataclass(frozen=True)
class TrainConfig:
    """Training on one labelled source domain.

    dataset, split: which frames. stages: run one after the other.
    clip_frames: frames of a distorted clip as it is drawn; a stage takes windows of it.
    crop_size: width, height of what an iteration sees. crop_share: smallest and largest side
        of a distorted crop, as a share of the largest box of that shape in the frame;
        max_class_share: crops that one class fills beyond it are drawn again.
    strides: frames between neighbours of a clip, drawn once a clip; 0 repeats one frame under a
        slow virtual camera move, which stands for the dense limit of a sparse source.
    cached_clips: clips drawn and encoded before they repeat (frozen features are what a CPU can
        keep); 0: every iteration draws a new one.
    warmup: iterations of each stage over which the learning rate rises.
    pixel_memory_rate: the learning rate of the pixels' memory in units of the stage's. It has eight
        thousand parameters, and its gate begins at zero.
    precision: `bf16` (autocast) or `fp32`. accumulate: micro-batches of an iteration, whose
        gradients are averaged; several processes share them.
    *_weight: weights of the losses; class_balance: exponent b of the class weights f^-b.
    """

    dataset: str
    split: str
    seed: int
    stages: tuple[StageConfig, ...]
    clip_frames: int
    crop_size: tuple[int, int]
    crop_share: tuple[float, float]
    max_class_share: float
    strides: tuple[int, ...]
    cached_clips: int
    warmup: int
    weight_decay: float
    clip_gradient: float
    ema_decay: float
    points: int
    set_weight: float
    pixel_weight: float
    class_balance: float
    mtc_weight: float
    mtc_trim: float
    precision: str

    accumulate: int = 1
    jaccard_weight: float = 0.0
    pixel_memory_rate: float = 1.0

    def __post_init__(self):
        longest = max((stage.clip_frames for stage in self.stages), default=0)
        if not 0 < longest <= self.clip_frames:
            raise ValueError(
                f"train.stages: expected at least one, with clip_frames of 1 to "
                f"{self.clip_frames}, train.clip_frames, got {longest}"
            )
        if self.precision not in (BF16, FP32):
            raise ValueError(f"train.precision: expected bf16 or fp32, got {self.precision!r}")
        if self.dataset not in datasets.NAMES:
            raise ValueError(
                f"train.dataset: expected one of {datasets.NAMES}, got {self.dataset!r}"
            )

    @property
    def iterations(self) -> int:
        """Length of the run."""
        return sum(stage.iterations for stage in self.stages)

    def stage_of(self, iteration: int) -> tuple[StageConfig, int]:
        """The stage of an iteration below `iterations`, and the iteration's number within it."""
        for stage in self.stages:
            if iteration < stage.iterations:
                return stage, iteration
            iteration -= stage.iterations
        raise IndexError(f"the training has {self.iterations} iterations")


@dataclass(frozen=True)
class Config:
    """input_size: width, height a frame is resized to. Exactly one of the two heads is given.

    text: `null` for a model without text. depth: absent for a model without a depth encoder.
    train: absent from a loaded checkpoint, whose use must not depend on how it was trained.
    """

    encoder: EncoderConfig
    input_size: tuple[int, int]
    text: TextConfig | None
    train: TrainConfig | None = None
    time2general: Time2GeneralConfig | None = None
    frame_head: FrameHeadConfig | None = None
    depth: DepthConfig | None = None

    def __post_init__(self):
        self._check_sizes()
        if (self.time2general is None) == (self.frame_head is None):
            raise ValueError("expected exactly one of the sections time2general and frame_head")
        if self.train and self.frame_head and TEMPORAL in (s.trains for s in self.train.stages):
            raise ValueError("trains temporal: a frame-by-frame head has no temporal parts")
        if self.train and self.time2general:
            clip, memory = self.train.clip_frames, self.time2general.clip_length
            if memory != 1 and memory < clip:
                raise ValueError(
                    f"time2general.clip_length {memory}: expected 1, frame by frame, or at least "
                    f"train.clip_frames {clip}"
                )

    def _check_sizes(self) -> None:
        patch = self.encoder.patch_size
        if patch != 16:
            raise ValueError(f"encoder.patch_size: the heads read tokens of 16 pixels, got {patch}")
        sizes = {"input_size": self.input_size}
        if self.train is not None:
            sizes["train.crop_size"] = self.train.crop_size
        for name, size in sizes.items():
            if any(side < patch or side % patch for side in size):
                raise ValueError(f"{name}: expected multiples of {patch} pixels, got {size}")

    def frozen(self) -> dict:
        """All that the frozen tokens of a frame depend on: what they may be cached under."""
        depth = {} if self.depth is None else {"depth": dataclasses.asdict(self.depth)}
        return dataclasses.asdict(self.encoder) | depth

    @property
    def num_layers(self) -> int:
        """Token sequences a frame gives: one a block and encoder."""
        return len(self.encoder.blocks) * (1 if self.depth is None else 2)


def load_config(path: str | Path) -> Config:
    """Read a YAML file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a mapping, or a missing or unknown key, named with its section.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config file {path}")
    try:
        return from_mapping(Config, yaml.safe_load(path.read_text()), path.name)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error


def from_mapping(kind: type, mapping: object, where: str):
    """Build the dataclass `kind` from nested mappings; `where` names the section in errors."""
    if not isinstance(mapping, dict):
        raise ValueError(f"{where}: expected a mapping, got {type(mapping).__name__}")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(mapping) - set(hints))
    if unknown:
        raise ValueError(f"{where}: unknown keys {unknown}, known are {sorted(hints)}")
    required = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    missing = sorted(required - set(mapping))
    if missing:
        raise ValueError(f"{where}: missing keys {missing}")
    values = {k: _value(hints[k], v, f"{where}.{k}") for k, v in mapping.items()}
    return kind(**values)


def _value(hint: object, value: object, where: str):
    if isinstance(hint, types.UnionType):  # optional section
        if value is None:
            return None
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    if dataclasses.is_dataclass(hint):
        return from_mapping(hint, value, where)
    if typing.get_origin(hint) is tuple:
        return _tuple(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _tuple(hint: object, value: object, where: str) -> tuple:
    kinds = typing.get_args(hint)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where}: expected a list, got {value!r}")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise ValueError(f"{where}: expected {len(kinds)} values, got {value!r}")
    return tuple(_value(kinds[0], v, f"{where}[{i}]") for i, v in enumerate(value))
