# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What runs an exported graph: ONNX Runtime on a processor, CUDA or TensorRT; or OpenVINO.

ONNX Runtime never raises for a provider that it could not get, it runs on the processor instead.
So the session is asked what it runs on, and the reason is looked for where the library is loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from t2g_core.cache import cache_folder
from t2g_core.device import AUTO, BF16, CPU, CUDA, FP32, OPENVINO, TENSORRT

PROVIDERS = {CUDA: "CUDAExecutionProvider", TENSORRT: "TensorrtExecutionProvider"}
CPU_PROVIDER = "CPUExecutionProvider"
LOG = logging.getLogger(__name__)
TRY = """
import ctypes, pathlib, sys, onnxruntime
getattr(onnxruntime, "preload_dlls", lambda: None)()
folder = pathlib.Path(onnxruntime.__file__).parent / "capi"
ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"))
ctypes.CDLL(str(folder / f"libonnxruntime_providers_{sys.argv[1]}.so"))
"""


class EngineMissing(ValueError):
    """What was asked for is not to be had on this machine."""


class Graph(Protocol):
    """A graph that is loaded. inputs: names of those that it reads."""

    inputs: frozenset[str]

    def run(self, feed: dict[str, Any]) -> list[Any]:
        """Arrays, or what the graph gave before, by name -> its outputs in their order.

        Raises:
            RuntimeError: it fails, for want of memory for example.
        """
        ...


@dataclass(frozen=True)
class Engine:
    """Where graphs run. kind: CPU, CUDA, TENSORRT or OPENVINO; number: of the GPU."""

    kind: str
    number: int = 0
    threads: int = 1
    precision: str = FP32  # OpenVINO's products; graphs of the others have one of their own

    @property
    def name(self) -> str:
        """As `--device` takes it."""
        return f"{self.kind}:{self.number}" if self.number else self.kind


def find_engine(device: str, threads: int, precision: str) -> tuple[Engine, tuple[str, ...]]:
    """The engine that a device's name asks for, and warnings.

    `auto` is CUDA on a machine with an NVIDIA GPU that ONNX Runtime can use, else the processor.
    precision: `auto`, `bf16` or `fp32`, of OpenVINO alone; `auto` is bf16 where the processor has
    it.

    Raises:
        EngineMissing: it is asked for by name and not to be had.
        ValueError: another precision than the graph's.
    """
    kind, _, number = device.partition(":")
    if kind == OPENVINO:
        return Engine(OPENVINO, 0, threads, openvino_precision(precision)), ()
    if precision == BF16:
        raise ValueError("precision bf16: of exports only with device openvino")
    if kind != AUTO:
        check_there(kind)
        return Engine(kind, int(number or 0), threads), ()
    if not has_gpu():
        return Engine(CPU, 0, threads), ()
    reason = why_not(CUDA)
    if reason:
        return Engine(CPU, 0, threads), (f"the GPU is not used: {reason}",)
    return Engine(CUDA, 0, threads), ()


def check_there(kind: str) -> None:
    """EngineMissing, with the reason, unless an engine can be had."""
    reason = why_not(kind)
    if reason:
        raise EngineMissing(f"device {kind}: {reason}; `t2g doctor` says more")


def has_gpu() -> bool:
    """Whether an NVIDIA driver is there."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def why_not(kind: str) -> str:
    """Why an engine cannot be had here, in words; empty where it can."""
    if kind == OPENVINO:
        found = importlib.util.find_spec("openvino")
        return "" if found else "OpenVINO is not installed: pip install 't2g_ros[openvino]'"
    if importlib.util.find_spec("onnxruntime") is None:
        return "ONNX Runtime is not installed: pip install 't2g_ros[onnx]'"
    if kind == CPU:
        return ""
    import onnxruntime

    name = f"ONNX Runtime {onnxruntime.__version__}"
    if PROVIDERS[kind] not in onnxruntime.get_available_providers():
        return f"{name} was built without {PROVIDERS[kind]}: pip install onnxruntime-gpu"
    # In a process of its own: a library that loads in part may take down the one that tries.
    tried = subprocess.run(
        [sys.executable, "-c", TRY, kind], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        problem = (tried.stderr.strip().splitlines() or ["it ends the process"])[-1]
        return f"{name} cannot load what {PROVIDERS[kind]} needs: {problem}"
    preload()
    return ""


def preload() -> None:
    """CUDA's and cuDNN's libraries from pip, which ONNX Runtime does not find by itself."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()


def openvino_precision(asked: str) -> str:
    """`auto` is bf16 where the processor multiplies it."""
    check_there(OPENVINO)
    if asked != AUTO:
        return asked
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return BF16 if "BF16" in able else FP32


def load_graph(path: Path, engine: Engine) -> Graph:
    """Load a graph into an engine.

    Raises:
        EngineMissing: the session runs elsewhere.
        ValueError: the graph cannot be loaded.
    """
    check_there(engine.kind)
    return (OpenVinoGraph if engine.kind == OPENVINO else OnnxGraph)(path, engine)


class OnnxGraph:
    """A session of ONNX Runtime.

    On a GPU outputs stay there, and are handed back as they are: a stream's state never leaves it.
    Every run allocates its outputs anew, for a state that is kept must not be written to.
    """

    def __init__(self, path: Path, engine: Engine, stay: bool | None = None):
        """stay: whether outputs stay on the device; None: where it is a GPU."""
        import onnxruntime  # a quarter of a second

        onnxruntime.set_default_logger_severity(4)  # what matters is raised
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = engine.threads
        options.log_severity_level = 4
        # Threads that spin while they wait: 4 % faster alone, a fifth slower beside a load.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=providers_of(engine)
            )
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise ValueError(f"ONNX Runtime cannot load {path}: {_first_line(error)}") from error
        wanted = PROVIDERS.get(engine.kind, CPU_PROVIDER)
        if wanted not in session.get_providers():
            raise EngineMissing(
                f"device {engine.name}: ONNX Runtime {onnxruntime.__version__} runs on "
                f"{', '.join(session.get_providers())} here; `t2g doctor` says more"
            )
        self._session, self._values = session, onnxruntime.OrtValue
        self._place = ("cuda" if engine.kind in PROVIDERS else "cpu", engine.number)
        self._stay = engine.kind in PROVIDERS if stay is None else stay
        self.inputs = frozenset(one.name for one in session.get_inputs())
        self._outputs = [one.name for one in session.get_outputs()]

    def run(self, feed: dict[str, Any]) -> list[Any]:
        """See `Graph`."""
        try:
            return self._bound(feed) if self._stay else self._session.run(None, feed)
        except Exception as error:  # as above
            raise RuntimeError(f"ONNX Runtime: {_first_line(error)}") from error

    def _bound(self, feed: dict[str, Any]) -> list[Any]:
        binding = self._session.io_binding()
        for name, value in feed.items():
            if isinstance(value, self._values):
                binding.bind_ortvalue_input(name, value)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
        for name in self._outputs:
            binding.bind_output(name, *self._place)
        self._session.run_with_iobinding(binding)
        return binding.get_outputs()


class OpenVinoGraph:
    """A graph compiled by OpenVINO for the processor."""

    def __init__(self, path: Path, engine: Engine):
        import openvino

        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": engine.threads,
            "INFERENCE_PRECISION_HINT": "bf16" if engine.precision == BF16 else "f32",
        }
        try:
            self._request = openvino.Core().compile_model(path, "CPU", hints).create_infer_request()
        except RuntimeError as error:
            raise ValueError(f"OpenVINO cannot load {path}: {_first_line(error)}") from error
        model = self._request.get_compiled_model()
        self.inputs = frozenset(one.get_any_name() for one in model.inputs)

    def run(self, feed: dict[str, Any]) -> list[Any]:
        """See `Graph`; outputs are copied, as the next run writes over them."""
        found = self._request.infer(feed, share_inputs=True)
        return [np.array(x) for x in found.values()]


def providers_of(engine: Engine) -> list:
    """As ONNX Runtime takes them, the processor last for what a GPU's provider lacks."""
    if engine.kind == CPU:
        return [CPU_PROVIDER]
    cuda = (PROVIDERS[CUDA], {"device_id": engine.number})
    if engine.kind == CUDA:
        return [cuda, CPU_PROVIDER]
    cache = cache_folder() / "tensorrt"
    cache.mkdir(parents=True, exist_ok=True)
    LOG.warning("TensorRT: an engine that is not in %s is built now, for minutes", cache)
    options = {
        "device_id": engine.number,
        "trt_engine_cache_enable": True,  # named by graph, GPU and version
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache),
    }
    return [(PROVIDERS[TENSORRT], options), cuda, CPU_PROVIDER]


def as_array(value: Any) -> np.ndarray:
    """What a runtime gave, on the host."""
    return value if isinstance(value, np.ndarray) else value.numpy()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
