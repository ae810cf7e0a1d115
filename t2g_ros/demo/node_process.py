# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The segmenter node as a process of its own: started, watched and stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

STOP_TIMEOUT_S = 25.0
LOG_TAIL_LINES = 15


class NodeProcess:
    """Runs the node while the context lasts; what it says goes to a log file.

    image_topic: where it takes its images from, None for the usual topics. checkpoint: None for
    the shipped one. cameras: their names, where there are several.
    """

    def __init__(
        self,
        image_topic: str | None,
        log: Path,
        checkpoint: Path | None = None,
        device: str = "auto",
        cameras: Sequence[str] = (),
    ) -> None:
        self._log = log
        self._command = [sys.executable, "-m", "t2g_ros.segmenter_node", "--ros-args"]
        self._command += ["-p", f"device:={device}"]
        if image_topic is not None:
            self._command += ["-r", f"image:={image_topic}"]
        if cameras:
            self._command += ["-p", f"cameras:=[{','.join(cameras)}]"]
        if checkpoint is not None:
            self._command += ["-p", f"checkpoint:={checkpoint.resolve()}"]

    def __enter__(self) -> NodeProcess:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Raise RuntimeError with the end of the log if the node has ended."""
        code = self._process.poll()
        if code is not None:
            tail = "\n".join(self._log.read_text().splitlines()[-LOG_TAIL_LINES:])
            raise RuntimeError(
                f"the node ended with exit code {code}; {self._log} ends with:\n{tail}"
            )
