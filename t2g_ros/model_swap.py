# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The service ~/load_checkpoint: another model takes over from the one that is running."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from t2g_ros.background import Background
from t2g_ros.log import shortened
from t2g_ros.model_loading import Model
from t2g_ros.srv import LoadCheckpoint

LOOK_S = 0.02  # how often it looks whether the model is loaded


class ModelSwap:
    """Loads a checkpoint while the node goes on; one that cannot be loaded changes nothing."""

    def __init__(
        self,
        node: Node,
        current: Callable[[], Model | None],
        load: Callable[[str], Model],
        take: Callable[[Model], None],
        folder: str,
    ) -> None:
        """current: the node's model, None before it is configured; load: a checkpoint's, slow;
        take: puts a model in the place of the current one; folder: see `refuse_elsewhere`.
        """
        self._log = node.get_logger()
        self._current, self._load, self._take = current, load, take
        self._is_loading = False
        self._folder = folder
        # In a group of its own, so that the others are served while it waits for the model.
        node.create_service(
            LoadCheckpoint,
            "~/load_checkpoint",
            self._answer,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    async def _answer(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        before = self._current()
        if before is None or self._is_loading:
            response.message = (
                "another checkpoint is being loaded" if self._is_loading else "not configured yet"
            )
            return response
        self._is_loading = True
        try:
            refuse_elsewhere(request.checkpoint, self._folder)
            loading = Background(lambda: self._load(request.checkpoint))
            while not loading.is_done(LOOK_S):
                await NextTurn()
            model = loading.result()
        except Exception as error:
            response.message = f"{type(error).__name__}: {error}"
            self._log.error(f"the checkpoint stays: {shortened(response.message)}")
            return response
        finally:
            self._is_loading = False
        if self._current() is not before:
            response.message = "the node was cleaned up meanwhile"
            return response
        self._take(model)
        response.success, response.message = True, model.describe()
        self._log.info(f"swapped the model: {response.message}")
        return response


def refuse_elsewhere(checkpoint: str, folder: str) -> None:
    """Raise PermissionError for a checkpoint that does not lie below `folder`.

    No folder allows all of them, and where SROS 2 is on none: whoever may call the service shall
    not choose what the node reads. The shipped checkpoint, an empty name, is always allowed.
    """
    if not checkpoint:
        return
    if not folder:
        if os.environ.get("ROS_SECURITY_ENABLE", "").lower() == "true":
            raise PermissionError("with SROS 2, set the parameter checkpoint_folder to allow this")
        return
    path, allowed = (Path(p).expanduser().resolve() for p in (checkpoint, folder))
    if not path.is_relative_to(allowed):
        raise PermissionError(f"{checkpoint} does not lie in checkpoint_folder, {folder}")


class NextTurn:
    """Awaited, lets the executor serve everything else once."""

    def __await__(self):
        yield
