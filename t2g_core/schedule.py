# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The section `train` of a config: what a training sees, and the stages it goes through."""

from __future__ import annotations

from dataclasses import dataclass

from t2g_core.device import BF16, FP32

ALL, FRAME_PATH, TEMPORAL = "all", "frame_path", "temporal"  # what a stage trains
PHOTOMETRIC, HARSH = "photometric", "harsh"  # distortions
MEAN, SUM = "mean", "sum"


@dataclass(frozen=True)
class StageConfig:
    """A stretch of a training with a schedule of its own.

    learning_rate: decays polynomially (power 0.9) to zero over the stage's iterations.
    trains: `frame_path`, what sees one frame alone, through the pixel classifier, without the rest;
        `temporal`, what frames meet in, on the frame path as the stages before have averaged
        it, its batch norms measured on plain frames; or `all`. A method says in its config which
        of them it has.
    dropout: probability with which a channel of the pixels' context is left out, others in each
        frame. On frames that it has learned from the frame path errs little; a memory that is to
        learn what averaging is good for needs one that errs as it does elsewhere.
    frames_per_clip: most frames of a clip; 1: frames alone. random_length: whether their number is
        drawn anew each iteration, long clips more often, so that a filling memory is a seen case;
        otherwise every clip has all of them.
    frames_per_step: an iteration takes as many clips as fit into it, at least one.
    plain_share: share of the clips of undistorted frames (whole frames, of which an iteration cuts
        a window); the others are distorted crops.
    """

    iterations: int
    learning_rate: float
    frames_per_clip: int
    frames_per_step: int
    plain_share: float
    trains: str = ALL
    dropout: float = 0.0
    random_length: bool = True

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

    stages: run one after the other.
    clip_frames: frames of a distorted clip as it is drawn; a stage takes windows of it.
    crop_size: width, height of what an iteration sees. zoom: how large things are in a distorted
        crop, smallest and largest, in units of their size at inference, where a whole frame is
        resized to the area of `input_size`. It is the same for every data set: multi-scale resizing
        and random cropping in one. What of a crop lies beyond its frame is void, as where the field
        pads. max_class_share: crops that one class fills beyond it are drawn again. class_share: of
        the crops and windows that hold a pixel of a class drawn evenly among those of the frame, so
        that rare and thin things are seen often; the others lie anywhere. paste_share: of the
        distorted clips of one frame under a virtual move, into which things of another frame are
        put, see `paste_things`.
    distortion: of the crops' colours. `photometric`: the field's brightness, contrast, saturation
        and hue, once a clip. `harsh`: also filters, noise, blur, JPEG, erasing and uneven light, in
        half of the clips another one each frame: a robustness method in itself, not the paper's.
    strides: frames between neighbours of a clip, drawn once a clip; 0 repeats one frame under a
        slow virtual camera move, which stands for the dense limit of a sparse source. move_steps:
        how many frames at 15 Hz such a move goes on from one frame of the clip to the next, drawn
        once a clip: with several, a memory learns what a slow camera shows.
    cached_clips: clips drawn, distorted and, where the method's features can be kept, encoded
        before they repeat (what a CPU can do); 0: every iteration draws a new one.
    warmup: iterations of each stage over which the learning rate rises.
    precision: `bf16` (autocast) or `fp32`. accumulate: micro-batches of an iteration, whose
        gradients are averaged; several processes share them.
    points: pixels sampled a frame by the set loss. set_stages: `sum` of its values at the decoder's
        stages, as Mask2Former's frameworks have it, or their `mean`.
    *_weight: weights of the losses; class_balance: exponent b of the class weights f^-b.
    """

    seed: int
    stages: tuple[StageConfig, ...]
    clip_frames: int
    crop_size: tuple[int, int]
    zoom: tuple[float, float]
    max_class_share: float
    distortion: str
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
    set_stages: str = MEAN
    jaccard_weight: float = 0.0
    class_share: float = 0.0
    paste_share: float = 0.0
    move_steps: tuple[int, ...] = (1,)

    def __post_init__(self):
        longest = max((stage.frames_per_clip for stage in self.stages), default=0)
        if not 0 < longest <= self.clip_frames:
            raise ValueError(
                f"train.stages: expected at least one, with frames_per_clip of 1 to "
                f"{self.clip_frames}, train.clip_frames, got {longest}"
            )
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(
                f"train.zoom: expected two values above 0, the smaller first, got {self.zoom}"
            )
        if not self.move_steps or min(self.move_steps) < 1:
            raise ValueError(f"train.move_steps: expected numbers from 1, got {self.move_steps}")
        if self.distortion not in (PHOTOMETRIC, HARSH):
            raise ValueError(
                f"train.distortion: expected {PHOTOMETRIC} or {HARSH}, got {self.distortion!r}"
            )
        if self.set_stages not in (MEAN, SUM):
            raise ValueError(f"train.set_stages: expected {MEAN} or {SUM}, got {self.set_stages!r}")
        if self.precision not in (BF16, FP32):
            raise ValueError(f"train.precision: expected bf16 or fp32, got {self.precision!r}")

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
