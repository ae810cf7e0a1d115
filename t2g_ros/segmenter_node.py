#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The executable `segmenter_node`: whatever the moment, Ctrl-C and SIGTERM end it well."""

from __future__ import annotations

import os
import signal
import sys

ENDINGS = signal.SIGINT, signal.SIGTERM

if __name__ == "__main__":
    for number in ENDINGS:  # before the import below, which takes a second
        signal.signal(number, lambda *_: os._exit(0))

from t2g_core.processor import let_waiting_threads_sleep  # noqa: E402

let_waiting_threads_sleep()  # before the import that brings OpenMP

from t2g_ros.process import main  # noqa: E402

if __name__ == "__main__":
    code = main()
    for number in ENDINGS:  # Python puts the default back while it ends: a second Ctrl-C would kill
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
