"""ONNX Runtime sessions: on the device that was asked for, or an error in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def open_session(path: Path, device: str, threads: int) -> onnxruntime.InferenceSession:
    """Load a graph onto `cpu`, `cuda` or `cuda:N`, to run with so many threads of the processor.

    ONNX Runtime's threads spin while they wait unless they are told not to, which takes the
    processor from other processes.

    Raises:
        ValueError: the graph cannot be loaded, or the device is not to be had.
    """
    import onnxruntime  # a second

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # what matters is raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list = [CPU]
    if device != "cpu":
        onnxruntime.preload_dlls()  # pip's CUDA libraries are found only after it
        number = int(device.partition(":")[2] or 0)
        providers = [(CUDA, {"device_id": number}), CPU]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise ValueError(f"ONNX Runtime cannot load {path}: {_first_line(error)}") from error
    if device != "cpu" and CUDA not in session.get_providers():
        raise ValueError(
            f"device {device}: ONNX Runtime {onnxruntime.__version__} has no CUDA here, only "
            f"{', '.join(session.get_providers())}; `t2g doctor` says more"
        )
    return session


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
