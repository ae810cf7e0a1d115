"""`t2g export`: a checkpoint as ONNX graphs, compared with PyTorch before they stay."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from t2g_core.bench.info import parse_size
from t2g_core.checkpoint import SHIPPED, Checkpoint, load_checkpoint
from t2g_core.device import FP32
from t2g_core.encoders.preprocess import fit_size
from t2g_core.export.graphs import OPSET, example_of, named, specs, write_encoder, write_step
from t2g_core.methods.method import USUAL_STEP_S
from t2g_core.runtime.exported_method import ExportedMethod
from t2g_core.runtime.manifest import (
    DIS_FLOW,
    ENCODER,
    MANIFEST,
    STEP,
    Manifest,
    is_export,
    sha256,
)
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter, to_result
from t2g_core.street.scene import StreetScene

CHECKED = ("clear", "fog")  # weathers of the rendered street
CHECK_FRAMES, CHECK_SEED = 12, 3
LEAST_EQUAL = 0.9999  # share of pixels with PyTorch's class
PACKAGES = ("t2g_ros", "torch", "onnx", "onnxscript", "onnxruntime-gpu", "onnxruntime")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `t2g export`."""
    parser.add_argument(
        "checkpoint", nargs="?", type=Path, help="of `t2g train` (default: the one that ships)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for graphs and manifest")
    parser.add_argument(
        "--size",
        help="WIDTHxHEIGHT of the camera's frames, whose aspect ratio the graphs take (default: "
        "that of the checkpoint's input size)",
    )
    parser.add_argument("--encoder-weights", metavar="WHERE", help="as the node's parameter")
    parser.add_argument("--json", action="store_true", help="print the manifest")


def run(args: argparse.Namespace) -> int:
    """Export, compare, put in place, say how close."""
    if args.out.exists() and not is_export(args.out):
        raise ValueError(f"--out: {args.out} is there and is no export; name another folder")
    found = load_checkpoint(args.checkpoint)
    size = fit_size(parse_size(args.size, found.config), found.config.input_size)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.resolve().parent, prefix=".export-") as partial:
        folder = Path(partial) / "export"
        folder.mkdir()
        manifest = export(found, args.checkpoint or SHIPPED, size, args.encoder_weights, folder)
        if args.out.exists():
            shutil.rmtree(args.out)
        folder.rename(args.out)
    written = (args.out / MANIFEST).read_text()
    print(written.strip() if args.json else as_text(manifest, args.out))
    return 0


def export(
    found: Checkpoint,
    source: Path,
    size: tuple[int, int],
    encoder_weights: str | None,
    folder: Path,
) -> Manifest:
    """Write graphs and manifest for images of `size` (width, height) into a folder.

    Raises:
        ValueError: the graphs' masks are not PyTorch's.
    """
    method = found.build("cpu", encoder_weights)
    reference = StreamingSegmenter(
        method, size, found.class_names, found.palette, "cpu", precision=FP32
    )
    grey = np.full((size[1], size[0], 3), 127, np.uint8)
    with torch.no_grad():
        example = example_of(method, method.prepare(grey, size), USUAL_STEP_S)
    with tqdm(total=3, desc="export", file=sys.stderr) as progress:
        write_encoder(method, example, folder / ENCODER)
        progress.update()
        write_step(method, example, folder / STEP)
        progress.update()
        state = named("state", example.state)
        counts = [name for name, _ in state if name.endswith("_count")]
        manifest = Manifest(
            class_names=found.class_names,
            palette=found.palette,
            size=size,
            clip_length=method.clip_length,
            recurrent=method.recurrent,
            motion=DIS_FLOW if example.motion else None,
            features=specs(named("features", example.features)),
            state=specs(state),
            motions=specs(named("motion", example.motion)),
            count=counts[0] if counts else None,
            opset=OPSET,
            files={name: sha256(folder / name) for name in (ENCODER, STEP)},
            source=sha256(source),
            note=found.note,
            versions=installed(PACKAGES),
        )
        manifest.write(folder)
        exported = reference.with_method(ExportedMethod(folder))
        checked = {weather: compare(reference, exported, size, weather) for weather in CHECKED}
        progress.update()
    worst = min(one["equal"] for one in checked.values())
    if worst < LEAST_EQUAL:
        raise ValueError(
            f"the graphs' masks are not PyTorch's: {100 * worst:.3f} % of pixels are equal, "
            f"expected {100 * LEAST_EQUAL:g}; nothing was written"
        )
    manifest.check.update(checked)
    manifest.write(folder)
    return manifest


@torch.inference_mode()
def compare(
    reference: StreamingSegmenter,
    exported: StreamingSegmenter,
    size: tuple[int, int],
    weather: str,
) -> dict[str, float]:
    """Stream the rendered street through both, from an empty state on.

    Returns the share of pixels with one class, and the largest difference of a probability.
    """
    equal, largest, states = [], 0.0, [reference.start(), exported.start()]
    for frame, _ in StreetScene(CHECK_SEED, CHECK_FRAMES, *size, 1 / USUAL_STEP_S, weather):
        streams = zip((reference, exported), states, strict=True)
        steps = [one.step_probs(one.encode(frame), state) for one, state in streams]
        probs, states = zip(*steps, strict=True)
        masks = [to_result(p, size).mask for p in probs]
        equal.append(float((masks[0] == masks[1]).mean()))
        largest = max(largest, float((probs[0] - probs[1]).abs().max()))
    return {"frames": CHECK_FRAMES, "equal": sum(equal) / len(equal), "largest_difference": largest}


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
    lines = [
        f"{name}  {(out / name).stat().st_size / 1e6:.1f} MB" for name in (ENCODER, STEP, MANIFEST)
    ]
    for weather, one in manifest.check.items():
        share, worst = 100 * one["equal"], one["largest_difference"]
        lines.append(
            f"{weather}: {share:.4f} % of the pixels of {one['frames']} streamed frames are "
            f"PyTorch's, probabilities within {worst:.1e}"
        )
    return "\n".join([*lines, f"{out}: give it wherever a checkpoint is asked for"])
