"""The `t2g` console command."""

from __future__ import annotations

import argparse
import importlib
import sys

COMMANDS = {
    "train": ("t2g_core.training.train", "train a model on one labelled source domain"),
    "eval": ("t2g_core.evaluation.command", "accuracy and video consistency of checkpoints"),
    "ablate": ("t2g_core.studies.ablate", "train and evaluate configs under seeds, one table"),
    "data": (
        "t2g_core.studies.data_command",
        "check a data set, print its classes, corrupt its images",
    ),
    "info": ("t2g_core.studies.info", "parameters, GFLOPs and memory of a config's model, by part"),
    "bag": ("t2g_core.recordings.segment_bag", "segment a rosbag2 offline, repeatable to the bit"),
    "scene": ("t2g_core.street.command", "render the procedural street scene with labels"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; errors of input end with a sentence and exit code 2."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="t2g", description="Domain-generalised video semantic segmentation."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if argv[:1] == [name]:  # a command's imports cost seconds: only the one asked for
            importlib.import_module(module).add_arguments(command)
    args = parser.parse_args(argv)
    try:
        return importlib.import_module(COMMANDS[args.command][0]).run(args)
    except KeyboardInterrupt:
        print(f"t2g {args.command}: stopped", file=sys.stderr)
        return 130
    except (ValueError, FileNotFoundError, ModuleNotFoundError, ConnectionError) as error:
        print(f"t2g {args.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
