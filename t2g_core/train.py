"""`t2g train`: one labelled source domain, one config, one script read from top to bottom."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from t2g_core.camvid import Video, read_label
from t2g_core.checkpoint import load_checkpoint, save_checkpoint
from t2g_core.clip_cache import EncodedClip, EncodedClips
from t2g_core.clips import ClipSampler
from t2g_core.config import Config, TrainConfig, load_config
from t2g_core.datasets import DATASETS
from t2g_core.encoder import FrozenEncoder
from t2g_core.evaluate import evaluate
from t2g_core.labels import IGNORE_INDEX
from t2g_core.metrics import miou
from t2g_core.model import Prediction, Time2General
from t2g_core.mtc_loss import masked_temporal_consistency_loss
from t2g_core.segmenter import TrainablePart, build_encoder, normalise
from t2g_core.set_criterion import set_loss
from t2g_core.streaming import StreamingSegmenter
from t2g_core.text import embed_class_names
from t2g_core.training_state import log_losses, plot_curves, resume, save_state, truncate_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g train`."""
    parser.add_argument("config", help="model and training, e.g. config/time2general_small.yaml")
    parser.add_argument("--root", required=True, help="folder of the dataset, with train/ and val/")
    parser.add_argument(
        "--out",
        required=True,
        help="folder for checkpoints, logs and curves; a "
        "run that was stopped there is taken up again on the same trajectory",
    )
    parser.add_argument(
        "--cache",
        help="folder for encoded clips, several GB, shared by configs "
        "that draw the same clips (default: OUT/clips)",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--save-every",
        type=int,
        default=200,
        help="iterations between resumable checkpoints (default: %(default)s)",
    )
    parser.add_argument(
        "--validate-every",
        type=int,
        default=1000,
        help="iterations between validations, which only report (default: %(default)s)",
    )
    parser.add_argument(
        "--validation-frames",
        type=int,
        default=20,
        help="frames of split val to validate on; 0: none (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, or take up a stopped run."""
    train(load_config(args.config), args)
    return 0


def train(config: Config, args: argparse.Namespace) -> None:
    """Train `config` on the dataset under `args.root`; writes `args.out`/model.safetensors."""
    c, out, device = config.train, Path(args.out), args.device
    out.mkdir(parents=True, exist_ok=True)
    dataset = DATASETS[c.dataset]
    videos = dataset.load_videos(args.root, c.split)
    encoder = build_encoder(config, device)
    cache = Path(args.cache or out / "clips")
    clips = EncodedClips(ClipSampler(videos, c), encoder, config, cache, device)

    torch.manual_seed(c.seed)
    model = TrainablePart(
        config, encoder.width, embed_class_names(dataset.class_names, config.text)
    )
    model.to(device)
    model.standardize.fit(source_tokens(clips, device))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(c.ema_decay))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay
    )
    schedule = LambdaLR(optimizer, lambda i: learning_rate_factor(c, i))
    parts = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule}
    first = resume(out / "last.pt", config, parts)
    truncate_log(out / "log.csv", first)
    class_weights = balanced_weights(videos, len(dataset.class_names), c.class_balance).to(device)

    progress = tqdm(range(first, c.iterations), initial=first, total=c.iterations, desc="train")
    for i in progress:
        torch.manual_seed(c.seed * 1_000_003 + i)  # an iteration depends on nothing before it
        batch = [clips[i * c.batch_clips + b] for b in range(c.batch_clips)]
        losses = weighted_losses(model, batch, config, class_weights, device)
        total = sum(losses.values())
        if not torch.isfinite(total):
            torch.save([clip._asdict() for clip in batch], out / "nan_batch.pt")
            raise FloatingPointError(
                f"the loss is {total.item()} at iteration {i}; its batch is {out / 'nan_batch.pt'}"
            )
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), c.clip_gradient)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        log_losses(out / "log.csv", i, losses)
        progress.set_postfix({name: f"{loss.item():.3f}" for name, loss in losses.items()})
        done = i + 1 == c.iterations
        if (i + 1) % args.save_every == 0 or done:
            save_state(out / "last.pt", i + 1, config, parts)
            plot_curves(out / "log.csv", out / "curves.png")
        if (i + 1) % args.validate_every == 0 or done:
            path = out / "model.safetensors"
            save_checkpoint(path, average.module, config, dataset.class_names, dataset.licence)
            tqdm.write(f"iteration {i + 1}: {validate(path, encoder, config, args)}")


def weighted_losses(
    model: TrainablePart,
    batch: list[EncodedClip],
    config: Config,
    class_weights: torch.Tensor,
    device: str,
) -> dict[str, torch.Tensor]:
    """One forward pass: the weighted losses by name."""
    c = config.train
    tokens, images, target = collate(batch, c.clip_frames, device)
    frames = images.shape[1]
    with torch.autocast(device, torch.bfloat16, enabled=c.precision == "bf16"):
        flat = model.remember(list(tokens.flatten(1, 2)), images.flatten(0, 1))
        clip = unflatten_frames(flat, frames)
        predictions = model.head(clip) if isinstance(model.head, Time2General) else None
        probs = (
            model.head.segment_clip(clip) if predictions is None else [p.probs for p in predictions]
        )
    probs = torch.stack([p.float() for p in probs], dim=1)  # (B, T, K, H/4, W/4)
    losses = {"pixel": c.pixel_weight * pixel_loss(probs, target, class_weights)}
    if predictions is not None:
        predictions = [Prediction(*(x.float() for x in p)) for p in predictions]
        losses["set"] = c.set_weight * set_loss(predictions, target, c.points)
    if c.mtc_weight and frames > 1:
        quarter = target[:, :, 2::4, 2::4]
        losses["mtc"] = c.mtc_weight * masked_temporal_consistency_loss(probs, quarter, c.mtc_trim)
    return losses


def collate(
    batch: list[EncodedClip], clip_frames: int, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Stack clips, shortened to one random length T' <= T (the newest frames stay).

    Returns tokens (L, B, T', N, C), images (B, T', 3, H, W) normalised, target (B, T', H, W) int64.
    """
    frames = int(torch.randint(1, clip_frames + 1, ()))
    tokens = torch.stack([clip.tokens[:, -frames:] for clip in batch], dim=1).float()
    images = torch.stack([clip.images[-frames:] for clip in batch])
    target = torch.stack([clip.labels[-frames:] for clip in batch]).long()
    return tokens.to(device), normalise(images.to(device)), target.to(device)


def unflatten_frames(flat: tuple, frames: int) -> list[tuple]:
    """What `remember` gave for B*T frames -> a list of T, each for B."""

    def pick(x, t):
        if x is None:
            return None
        return x[t::frames] if isinstance(x, torch.Tensor) else type(x)(*(pick(y, t) for y in x))

    maps, memory = flat
    return [(pick(maps, t), pick(memory, t)) for t in range(frames)]


def pixel_loss(
    probs: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of Eq. 6's output, at stride 2: labels are finer than stride 4.

    Mask2Former trains its masks only through the matching; with a few hundred labelled frames the
    direct term converges several times sooner.
    """
    logits = F.interpolate(probs.flatten(0, 1).log(), scale_factor=2, mode="bilinear")
    return F.cross_entropy(
        logits, target.flatten(0, 1)[:, 1::2, 1::2], class_weights, ignore_index=IGNORE_INDEX
    )


def source_tokens(clips: EncodedClips, device: str) -> list[list[torch.Tensor]]:
    """Tokens of the first clips of the run, enough for their statistics."""
    return [list(clips[i].tokens.to(device)) for i in range(16)]


def balanced_weights(videos: list[Video], num_classes: int, exponent: float) -> torch.Tensor:
    """Class weights f^-exponent, f the share of labelled pixels, averaging one over the pixels.

    A class without a pixel weighs nothing. Returns (K,) float32.
    """
    counts = np.zeros(num_classes)
    for video in videos:
        for frame in video.frames:
            label = read_label(frame.label_path)
            counts += np.bincount(label[label != IGNORE_INDEX], minlength=num_classes)
    share = counts / counts.sum()
    weights = np.where(share > 0, np.maximum(share, 1e-4) ** -exponent, 0.0)
    return torch.tensor(weights / (share * weights).sum(), dtype=torch.float32)


def learning_rate_factor(config: TrainConfig, iteration: int) -> float:
    """Linear warm-up, then polynomial decay with power 0.9 to zero."""
    warm = min(1.0, (iteration + 1) / max(1, config.warmup))
    return warm * max(0.0, 1 - iteration / config.iterations) ** 0.9


def validate(path: Path, encoder: FrozenEncoder, config: Config, args: argparse.Namespace) -> str:
    """mIoU of the averaged weights on the first frames of split val, streaming.

    A report only: nothing is chosen by it, the last checkpoint is the result.
    """
    if not args.validation_frames:
        return f"saved {path}"
    dataset = DATASETS[config.train.dataset]
    video = dataset.load_videos(args.root, "val")[0]
    video = replace(video, frames=video.frames[: args.validation_frames])
    segmenter = StreamingSegmenter(load_checkpoint(path, args.device), encoder, args.device)
    score = miou(evaluate(segmenter, [video], dataset).confmat)
    return f"mIoU {100 * score:.1f} % on {len(video.frames)} frames of split val"
