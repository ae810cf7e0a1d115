# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`python -m t2g_ros.demo`."""

import sys

from t2g_ros.demo.command import main

sys.exit(main())
