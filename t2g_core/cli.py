#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The `t2g` console command, also as `ros2 run t2g_ros t2g`."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from importlib.metadata import entry_points

from t2g_core.processor import let_waiting_threads_sleep, set_threads

COMMANDS = {
    "train": ("t2g_core.training.train", "train a model on one labelled source domain"),
    "eval": ("t2g_core.evaluation.command", "accuracy and video consistency of checkpoints"),
    "confidence": (
        "t2g_core.evaluation.source_confidence",
        "how sure a checkpoint is on its own domain, kept in it for the diagnostics",
    ),
    "ablate": ("t2g_core.training.ablate", "train and evaluate configs under seeds, one table"),
    "compare": ("t2g_core.compare.command", "train, try and time methods by a plan, one report"),
    "data": (
        "t2g_core.data_command",
        "check a data set, print its classes, corrupt its images",
    ),
    "info": ("t2g_core.bench.info", "parameters, GFLOPs and memory of a config's model, by part"),
    "segment": (
        "t2g_core.recordings.segment",
        "masks, pictures and figures of an image, video, folder or bag, without ROS",
    ),
    "bench": ("t2g_core.bench.command", "time a streaming step beside its encoder, by part"),
    "export": ("t2g_core.export.command", "a checkpoint as ONNX graphs, checked against PyTorch"),
    "faults": (
        "t2g_core.faults.command",
        "put faults into recordings and print what the diagnostics find",
    ),
    "scene": ("t2g_core.street.command", "render the procedural street scene with labels"),
}
BROKEN_PIPE = 128 + signal.SIGPIPE  # as a shell reports it of other programs
GROUP = "t2g.commands"  # entry points by which other packages add commands: mappings like COMMANDS

EXTRAS = {  # of setup.py, by the module that is missing
    **dict.fromkeys(("transformers", "scipy", "matplotlib", "tensorboard", "kornia"), "train"),
    **dict.fromkeys(("skimage", "numba"), "eval"),
    **dict.fromkeys(("rosbags", "mcap", "zstandard", "av"), "bags"),
    **dict.fromkeys(("torch", "torchvision", "timm", "safetensors"), "torch"),
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    "onnxruntime": "onnx",
    "webdataset": "shards",
    "ray": "ray",
    "openvino": "openvino",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; errors of input end with a sentence and exit code 2."""
    argv = sys.argv[1:] if argv is None else argv
    let_waiting_threads_sleep()
    try:
        commands = all_commands()
        args = parse(argv, commands)
        set_threads(args.threads)
        code = importlib.import_module(commands[args.command][0]).run(args)
        sys.stdout.flush()
        return code
    except ModuleNotFoundError as error:
        problem, code = remedy(error), 2
    except KeyboardInterrupt:
        problem, code = "stopped", 130
    except BrokenPipeError:  # whoever read has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, OSError) as error:  # of input, of files, of the network
        problem, code = error, 2
    print(f"t2g {argv[0]}: {problem}", file=sys.stderr)
    return code


def all_commands() -> dict[str, tuple[str, str]]:
    """Module and summary of each command, those of other installed packages included."""
    found = dict(COMMANDS)
    for entry in entry_points(group=GROUP):
        found |= entry.load()
    return found


def parse(argv: list[str], commands: dict[str, tuple[str, str]]) -> argparse.Namespace:
    """Read the command line; a command's imports cost seconds, so only the one asked for is."""
    parser = argparse.ArgumentParser(
        prog="t2g", description="Domain-generalised video semantic segmentation."
    )
    added = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in commands.items():
        command = added.add_parser(name, help=summary, description=summary)
        if argv[:1] == [name]:
            importlib.import_module(module).add_arguments(command)
            command.add_argument(
                "--threads",
                type=int,
                default=0,
                metavar="N",
                help="of the processor that compute (default 0: one for each core)",
            )
    return parser.parse_args(argv)


def remedy(error: ModuleNotFoundError) -> str:
    """What is missing and how it is installed."""
    extra = EXTRAS.get((error.name or "").split(".")[0])
    return f"{error}; type: pip install 't2g_ros[{extra}]'" if extra else str(error)


if __name__ == "__main__":
    sys.exit(main())
