"""Where a model runs, by the names that commands and the node take."""

from __future__ import annotations

import re

AUTO = "auto"


def check_device_name(name: str) -> None:
    """Raise ValueError unless it is auto, cpu, cuda or cuda:<number>. Needs no PyTorch."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError(f"device: expected auto, cpu, cuda or cuda:<number>, got {name!r}")


def find_device(name: str) -> str:
    """PyTorch's name of a device that is there; `auto` is a GPU if there is one.

    Raises:
        ValueError: no such name, or PyTorch sees no such GPU.
    """
    import torch  # seconds

    check_device_name(name)
    count = torch.cuda.device_count()
    if name == AUTO:
        return "cuda" if count else "cpu"
    wanted = int(name.partition(":")[2] or 0)
    if name != "cpu" and wanted >= count:
        raise ValueError(f"device {name}: PyTorch {torch.__version__} sees {count} CUDA GPUs here")
    return name
