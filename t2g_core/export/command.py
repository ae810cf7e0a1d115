# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g export`: a checkpoint as ONNX graphs, compared with PyTorch before they stay."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from t2g_core.checkpoint import SHIPPED, Checkpoint, load_checkpoint
from t2g_core.device import FP32, check_device_name
from t2g_core.encoders.frozen_vit import PSEUDO_INVERSE
from t2g_core.export.graphs import (
    OPSET,
    Example,
    example_of,
    named,
    specs,
    with_tables,
    write_encoder,
    write_start,
    write_step,
)
from t2g_core.export.precision import FP16, INT8, convert_to_float16, quantise_encoder
from t2g_core.images.model_input import PATCH, PIXEL_MEAN, PIXEL_STD
from t2g_core.images.motion import USUAL_STEP_S
from t2g_core.labels import CAMVID_CLASSES
from t2g_core.methods.method import Method
from t2g_core.metrics.iou import confusion_matrix, miou
from t2g_core.runtime.engines import as_array
from t2g_core.runtime.manifest import (
    DIS_FLOW,
    ENCODER,
    MANIFEST,
    START,
    STEP,
    Manifest,
    is_export,
    sha256,
)
from t2g_core.runtime.onnx_runtime import OnnxRuntime
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.street.scene import StreetScene
from t2g_core.torch_runtime import TorchRuntime

CLEAR, FOG, DARK = "clear", "fog", "dark"  # what the rendered street is streamed in
CHECK_FRAMES, CHECK_SEED = 12, 3
DARKNESS, NOISE = 0.15, 6.0  # share of the light, standard deviation in grey values
PACKAGES = ("t2g_ros", "torch", "onnx", "onnxscript", "onnxruntime-gpu", "onnxruntime", "openvino")


@dataclass(frozen=True)
class Tolerance:
    """What an export of a precision may cost: share of pixels that are PyTorch's at least, and
    points of mIoU that are lost at most.
    """

    equal: float
    miou: float


TOLERANCES = {
    FP32: Tolerance(0.9999, 0.05),
    FP16: Tolerance(0.99, 0.5),
    INT8: Tolerance(0.95, 0.5),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g export`."""
    parser.add_argument(
        "checkpoint", nargs="?", type=Path, help="of `t2g train` (default: the one that ships)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for graphs and manifest")
    parser.add_argument(
        "--precision",
        choices=tuple(TOLERANCES),
        default=FP32,
        help="of products. int8: the encoder's weights, for processors with VNNI; fp16: both "
        "graphs, for GPUs (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        default="cpu",
        help="that the graphs are compared on: cpu, cuda, openvino, or tensorrt, whose engines are "
        "thereby built and kept (default: %(default)s)",
    )
    parser.add_argument("--encoder-weights", metavar="WHERE", help="as the node's parameter")
    parser.add_argument("--json", action="store_true", help="print the manifest")


def run(args: argparse.Namespace) -> int:
    """Export, compare, put in place, say how close."""
    check_device_name(args.device)
    if args.out.exists() and not is_export(args.out):
        raise ValueError(f"--out: {args.out} is there and is no export; name another folder")
    found = load_checkpoint(args.checkpoint)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.resolve().parent, prefix=".export-") as partial:
        folder = Path(partial) / "export"
        folder.mkdir()
        source = args.checkpoint or SHIPPED
        method = found.build("cpu", args.encoder_weights)
        manifest = export(found, source, method, args.precision, args.device, folder)
        if args.out.exists():
            shutil.rmtree(args.out)
        folder.rename(args.out)
    written = (args.out / MANIFEST).read_text()
    print(written.strip() if args.json else as_text(manifest, args.out))
    return 0


def export(
    found: Checkpoint, source: Path, method: Method, precision: str, device: str, folder: Path
) -> Manifest:
    """Write graphs and manifest into a folder, and stream the rendered street through them.

    Raises:
        ValueError: the graphs' masks are not PyTorch's within the precision's tolerance.
    """
    with torch.no_grad():
        one, other = examples(method)
    with tqdm(total=3 + 3 * CHECK_FRAMES, desc="export", file=sys.stderr) as progress:
        write_encoder(method, one, other, folder / ENCODER)
        progress.update()
        write_step(method, one, other, folder / STEP)
        progress.update()
        state = named("state", one.state)
        if state:
            write_start(method, one, other, folder / START)
        positions = specs("positions", one.positions, other.positions)
        for spec, encoder in zip(positions, with_tables(method), strict=True):
            table = encoder.vit.pos_embed[0, 1:]
            side = round(len(table) ** 0.5)
            np.save(folder / f"{spec.name}.npy", table.unflatten(0, (side, side)).numpy())
        if precision == INT8:
            quantise_encoder(folder / ENCODER)
        elif precision == FP16:
            convert_to_float16([folder / ENCODER, folder / STEP])
        progress.update()
        counts = [name for name, _ in state if name.endswith("_count")]
        manifest = Manifest(
            class_names=found.class_names,
            palette=found.palette,
            input_size=found.config.input_size,
            patch=PATCH,
            pixel_mean=PIXEL_MEAN,
            pixel_std=PIXEL_STD,
            precision=precision,
            clip_length=method.clip_length,
            recurrent=method.recurrent,
            motion=DIS_FLOW if one.motion else None,
            positions=positions,
            features=specs("features", one.features, other.features),
            state=specs("state", one.state, other.state),
            motions=specs("motion", one.motion, other.motion),
            count=counts[0] if counts else None,
            opset=OPSET,
            files={file.name: sha256(file) for file in sorted(folder.iterdir())},
            source=sha256(source),
            note=found.note,
            versions=installed(PACKAGES),
            source_confidence=found.source_confidence,
            averages_positions=found.config.encoder.patch_resize == PSEUDO_INVERSE,
        )
        manifest.write(folder)
        reference = StreamingSegmenter(TorchRuntime(method, "cpu", FP32), found.labelling)
        exported = reference.with_runtime(OnnxRuntime(folder, device))
        for weather, frames in streets(found.config.input_size).items():
            manifest.check[weather] = compare(reference, exported, frames, progress)
    refuse_differences(manifest)
    manifest.write(folder)
    return manifest


def examples(method: Method) -> tuple[Example, Example]:
    """The first frames of two streams, of two sizes of which no side is the other's."""
    found = []
    for width, height in ((160, 112), (192, 144)):
        grey = np.full((height, width, 3), 127, np.uint8)
        prepared = method.prepare(grey, (width, height))
        found.append(example_of(method, prepared, USUAL_STEP_S))
    return found[0], found[1]


def streets(size: tuple[int, int]) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Frames and labels of the rendered street by weather, at half of `size` (width, height)."""
    street = StreetScene(CHECK_SEED, CHECK_FRAMES, size[0] // 2, size[1] // 2, 1 / USUAL_STEP_S)
    clear, fog = list(street), list(replace(street, weather=FOG))
    dark = [(darkened(frame, number), labels) for number, (frame, labels) in enumerate(clear)]
    return {CLEAR: clear, FOG: fog, DARK: dark}


def compare(
    reference: StreamingSegmenter,
    exported: StreamingSegmenter,
    frames: list[tuple[np.ndarray, np.ndarray]],
    progress: tqdm,
) -> dict[str, float]:
    """Stream labelled frames through both, from an empty state on.

    Returns the share of pixels with one class, the largest difference of a probability, and, where
    the model knows the street's classes, both mIoU in percent.
    """
    segmenters, classes = (reference, exported), len(reference.class_names)
    equal, largest, states = [], 0.0, [one.start() for one in segmenters]
    matrices = [np.zeros((classes, classes), np.int64) for _ in segmenters]
    labelled = reference.class_names == CAMVID_CLASSES
    for frame, labels in frames:
        pairs = list(zip(segmenters, states, strict=True))
        steps = [one.step_probs(one.encode(frame), state) for one, state in pairs]
        states = [state for _, state in steps]
        probs = [as_array(p) for p, _ in steps]
        size = frame.shape[1], frame.shape[0]
        pairs = zip(segmenters, steps, strict=True)
        masks = [one.to_result(p, size).mask for one, (p, _) in pairs]
        equal.append(float((masks[0] == masks[1]).mean()))
        largest = max(largest, float(np.abs(probs[0] - probs[1]).max()))
        if labelled:
            for matrix, mask in zip(matrices, masks, strict=True):
                matrix += confusion_matrix(mask, labels, classes)
        progress.update()
    found = {
        "frames": len(frames),
        "equal": sum(equal) / len(equal),
        "largest_difference": largest,
    }
    if labelled:
        theirs, ours = (100 * miou(matrix) for matrix in matrices)
        found |= {"miou_of_pytorch": theirs, "miou": ours}
    return found


def darkened(frame: np.ndarray, number: int) -> np.ndarray:
    """A frame at night: a little light, and the sensor's noise, which is another in each frame."""
    noise = np.random.default_rng(number).normal(0, NOISE, frame.shape)
    return np.clip(frame * DARKNESS + noise, 0, 255).astype(np.uint8)


def refuse_differences(manifest: Manifest) -> None:
    """ValueError where the graphs' masks are not PyTorch's within the precision's tolerance."""
    allowed = TOLERANCES[manifest.precision]
    for weather, one in manifest.check.items():
        if one["equal"] < allowed.equal:
            raise ValueError(
                f"the graphs' masks are not PyTorch's ({weather}): {100 * one['equal']:.3f} % of "
                f"pixels are equal, expected {100 * allowed.equal:g}; nothing was written"
            )
        lost = one.get("miou_of_pytorch", 0.0) - one.get("miou", 0.0)
        if lost > allowed.miou:
            raise ValueError(
                f"the graphs lose {lost:.2f} mIoU beside PyTorch ({weather}), at most "
                f"{allowed.miou:g} were expected of {manifest.precision}; nothing was written"
            )


def installed(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of those that are there."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def as_text(manifest: Manifest, out: Path) -> str:
    """What was written, and how close it is."""
    lines = [f"{name}  {(out / name).stat().st_size / 1e6:.1f} MB" for name in manifest.files]
    for weather, one in manifest.check.items():
        lines.append(
            f"{weather}: {100 * one['equal']:.4f} % of the pixels of {one['frames']} streamed "
            f"frames are PyTorch's, probabilities within {one['largest_difference']:.1e}"
        )
        if "miou" in one:
            lines[-1] += f", mIoU {one['miou']:.2f} beside {one['miou_of_pytorch']:.2f}"
    return "\n".join([*lines, f"{out}: give it wherever a checkpoint is asked for"])
