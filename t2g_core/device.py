# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where a model runs and how exactly, by the names that commands and the node take."""

from __future__ import annotations

import re
from pathlib import Path

AUTO = "auto"
CPU, CUDA = "cpu", "cuda"
TENSORRT, OPENVINO = "tensorrt", "openvino"  # of exports alone
BF16, FP32 = "bf16", "fp32"
PRECISIONS = (AUTO, BF16, FP32)


def check_device_name(name: str) -> None:
    """Raise ValueError unless it is auto, cpu, cuda or cuda:<number>, tensorrt or
    tensorrt:<number>, openvino. Needs no PyTorch.
    """
    if not re.fullmatch(r"auto|cpu|openvino|(cuda|tensorrt)(:\d+)?", name):
        raise ValueError(
            "device: expected auto, cpu, cuda or cuda:<number>, or, of an export, tensorrt or "
            f"openvino, got {name!r}"
        )


def find_device(name: str) -> str:
    """PyTorch's name of a device that is there; `auto` is a GPU if there is one.

    Raises:
        ValueError: no such name, or PyTorch sees no such GPU.
    """
    check_device_name(name)
    if name.startswith((TENSORRT, OPENVINO)):
        raise ValueError(f"device {name}: runs folders of `t2g export` alone")
    import torch  # seconds

    count = torch.cuda.device_count()
    if name == AUTO:
        return "cuda" if count else "cpu"
    wanted = int(name.partition(":")[2] or 0)
    if name != "cpu" and wanted >= count:
        raise ValueError(f"device {name}: PyTorch {torch.__version__} sees {count} CUDA GPUs here")
    return name


def check_precision_name(name: str) -> None:
    """Raise ValueError unless it is one of PRECISIONS. Needs no PyTorch."""
    if name not in PRECISIONS:
        raise ValueError(f"precision: expected auto, bf16 or fp32, got {name!r}")


def find_precision(name: str, device: str) -> str:
    """`bf16` or `fp32`; `auto` is bf16 where the device multiplies it in hardware.

    Elsewhere bfloat16 is emulated, and slower than float32.
    """
    import torch  # seconds

    check_precision_name(name)
    if name != AUTO:
        return name
    if device == "cpu":
        has = getattr(torch.cpu, "get_capabilities", dict)()  # older PyTorch cannot say
        fast = any(has.get(unit) for unit in ("avx512_bf16", "amx_bf16", "bf16"))
    else:
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    return BF16 if fast else FP32


def peak_memory(device: str) -> int:
    """Bytes: the most that PyTorch has held on a GPU, or resident memory of this process."""
    if device.startswith("cuda"):
        import torch  # seconds

        return torch.cuda.max_memory_allocated()
    # not getrusage's, which counts what the process that started this one held
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
