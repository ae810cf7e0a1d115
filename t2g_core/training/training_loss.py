"""The losses of one batch of clips of one length."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from t2g_core.config import FRAME_PATH, Config, StageConfig
from t2g_core.encoders.preprocess import PATCH
from t2g_core.labels import IGNORE_INDEX
from t2g_core.losses.set_loss import set_loss
from t2g_core.losses.temporal_consistency_loss import masked_temporal_consistency_loss
from t2g_core.methods.frozen_tokens import FrozenTokens, TrainablePart
from t2g_core.methods.time2general.time2general import Prediction
from t2g_core.training.clips.encoded_clips import EncodedClip


class TrainingLoss(nn.Module):
    """The trainable part and its losses as one module, as several processes need it."""

    def __init__(self, model: TrainablePart, config: Config, class_weights: torch.Tensor):
        super().__init__()
        self.model = model
        self.config = config
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, batch: list[EncodedClip], stage: StageConfig) -> dict[str, torch.Tensor]:
        """One forward pass: the weighted losses by name; FloatingPointError for NaN or infinity."""
        c = self.config.train
        device = self.class_weights.device
        frames, target, step_s = collate(batch, device)
        length = target.shape[1]
        with torch.autocast(device.type, torch.bfloat16, enabled=c.precision == "bf16"):
            predictions = self.model(frames, length, stage.trains == FRAME_PATH, step_s)
        predictions = [Prediction(*(x if x is None else x.float() for x in p)) for p in predictions]
        check_finite(predictions)
        together = len(predictions)  # a head without a memory: frame by frame
        probs = torch.stack([p.probs for p in predictions], dim=1)
        probs = probs.reshape(len(batch), length, *probs.shape[2:])  # (B, T, K, H/4, W/4)
        losses = {"pixel": c.pixel_weight * pixel_loss(probs, target, self.class_weights)}
        if c.jaccard_weight:
            losses["jaccard"] = c.jaccard_weight * jaccard_loss(probs, target)
        if predictions[0].class_logits is not None:
            clips = target.reshape(-1, together, *target.shape[2:])
            losses["set"] = c.set_weight * set_loss(predictions, clips, c.points)
        if c.mtc_weight and length > 1:
            quarter = target[:, :, 2::4, 2::4]
            mtc = masked_temporal_consistency_loss(probs, quarter, c.mtc_trim)
            losses["mtc"] = c.mtc_weight * mtc
        return losses


def check_finite(predictions: list[Prediction]) -> None:
    """Raise FloatingPointError where an output is NaN or infinite, which no matching can use."""
    for prediction in predictions:
        for name, value in prediction._asdict().items():
            if value is not None and not torch.isfinite(value).all():
                raise FloatingPointError(f"the model's {name} are not finite")


def collate(
    batch: list[EncodedClip], device: str | torch.device
) -> tuple[FrozenTokens, torch.Tensor, torch.Tensor]:
    """Stack B clips of one length T: their B*T frames, clip by clip, target (B, T, H, W), and the
    time between two frames of each clip, (B,) [s]."""
    tokens = torch.stack([clip.tokens for clip in batch], dim=1).float()
    target = torch.stack([clip.labels for clip in batch]).long()
    tokens = list(tokens.flatten(1, 2).to(device))  # (L, B, T, N, C) -> L times (B*T, N, C)
    grid = target.shape[-2] // PATCH, target.shape[-1] // PATCH
    seen = torch.stack([clip.structure for clip in batch]).flatten(0, 1)
    step_s = torch.stack([clip.step_s for clip in batch])
    return FrozenTokens(tokens, grid, seen), target.to(device), step_s.to(device)


def jaccard_loss(probs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One minus the soft IoU, the mean over the classes that the batch holds, at stride 4.

    probs (B, T, K, H/4, W/4), target (B, T, H, W). Every class counts alike, however few pixels it
    has, as in the mIoU; cross-entropy alone gives poles and signs away. Intersection sum(p y) and
    union sum(p + y - p y), over all pixels with a label.
    """
    probs, target = probs.flatten(0, 1), target.flatten(0, 1)[:, 2::4, 2::4]
    known = (target != IGNORE_INDEX)[:, None]
    truth = F.one_hot(torch.where(known[:, 0], target, 0), probs.shape[1]).movedim(-1, 1) * known
    probs = probs * known
    overlap, sums = (probs * truth).sum((0, 2, 3)), (probs + truth).sum((0, 2, 3))
    there = truth.sum((0, 2, 3)) > 0
    if not there.any():
        return 0.0 * probs.sum()
    return (1 - (overlap + 1) / (sums - overlap + 1))[there].mean()


def pixel_loss(
    probs: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of Eq. 6's output, at stride 2: labels are finer than stride 4.

    Mask2Former trains its masks only through the matching; with a few hundred labelled frames the
    direct term converges several times sooner. A batch without a labelled pixel costs zero, with a
    gradient.
    """
    logits = F.interpolate(probs.flatten(0, 1).log(), scale_factor=2, mode="bilinear")
    target = target.flatten(0, 1)[:, 1::2, 1::2]
    if (target == IGNORE_INDEX).all():
        return 0.0 * logits.sum()
    return F.cross_entropy(logits, target, class_weights, ignore_index=IGNORE_INDEX)
