# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Commands that the node adds to `t2g` (the entry point group `t2g.commands` of setup.py)."""

COMMANDS = {
    "doctor": ("t2g_ros.doctor", "look at what goes wrong most on robots, and say what to do"),
    "policy": ("t2g_ros.policy", "the node's SROS 2 policy: what it needs, and no more"),
}
