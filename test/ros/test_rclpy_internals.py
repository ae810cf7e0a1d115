# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Private names of rclpy: used where they are, done without where they are not."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from t2g_ros.rclpy_internals import RCLError, answer_impossible_transitions, given_parameters

NODE = Path(__file__).parents[2] / "t2g_ros"


def test_a_transition_that_there_is_not_is_answered():
    def refuse(request, response):
        raise RCLError("no transition 7")

    told = []
    service = SimpleNamespace(callback=refuse)
    answer_impossible_transitions(SimpleNamespace(_service_change_state=service), told.append)
    response = service.callback(None, SimpleNamespace(success=True))
    assert response.success is False and "no transition 7" in told[0]


def test_without_the_private_names_the_node_goes_on():
    bare = SimpleNamespace()
    assert given_parameters(bare) == {}
    answer_impossible_transitions(bare, pytest.fail)


def test_no_other_file_of_the_node_touches_them():
    private = re.compile(r"rclpy\._|_service_change_state|_parameter_overrides")
    files = [path for path in NODE.rglob("*.py") if private.search(path.read_text())]
    assert [path.name for path in files] == ["rclpy_internals.py"]
