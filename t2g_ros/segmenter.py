# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The `segmenter` node: a lifecycle node of one or several cameras that share a model.

Images come in on the executor's thread, which only looks at their headers and keeps the newest of
each camera; the inference thread converts, segments and publishes them. Loading a model is in the
background.
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from t2g_ros.background import Background
from t2g_ros.bond import Bond, is_installed
from t2g_ros.camera import Camera
from t2g_ros.diagnostics import (
    FAILED,
    FINALIZED,
    INACTIVE,
    LOADING,
    RUNNING,
    UNCONFIGURED,
    NodeHealth,
    diagnostic_status,
)
from t2g_ros.image_decoder import choose_decoder
from t2g_ros.inference import Inference
from t2g_ros.input_watch import why_no_image
from t2g_ros.log import Log, shortened
from t2g_ros.model_loading import Model, import_libraries, load_model
from t2g_ros.model_swap import ModelSwap
from t2g_ros.outputs import ClassesOutput
from t2g_ros.parameter_files import files_without_entry
from t2g_ros.parameters import (
    check_camera_names,
    check_early,
    declare_parameters,
    read_parameters,
    unknown_parameters,
)
from t2g_ros.rclpy_internals import answer_impossible_transitions

DIAGNOSTICS_PERIOD_S = 1.0
LAST_WORD_S = 0.3  # for the last diagnostics to leave the process
SILENCE_WARNING_PERIOD_S = 30.0
STOP_TIMEOUT_S = 1.0  # a load or a frame that takes longer is left behind

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Segmenter(LifecycleNode):
    """Subscribes to images and publishes masks and what goes with them in its own namespace.

    configure loads the model, activate takes images, deactivate leaves them, cleanup lets go of
    the model. `autostart` (a parameter) does the first two at once.
    """

    def __init__(self) -> None:
        super().__init__("segmenter")
        declare_parameters(self)
        self._log = Log(self.get_logger())
        self._state, self._state_detail = UNCONFIGURED, "waiting to be configured"
        self._model: Model | None = None
        self._inference: Inference | None = None
        self._classes: ClassesOutput | None = None
        self.left_behind = False  # whether a thread goes on that was told to end
        parameters = read_parameters(self)
        check_camera_names(parameters.cameras)
        if parameters.autostart:  # else configure may be tried again when all is there
            check_early(parameters)
        unread = files_without_entry(sys.argv, self.get_fully_qualified_name())
        for sentence in unknown_parameters(self) + unread:
            self.get_logger().warning(sentence)
        self.cameras = [Camera(self, name) for name in parameters.cameras]
        answer_impossible_transitions(
            self, lambda e: self.get_logger().error(f"no such transition now: {shortened(e)}")
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # On a clock of its own: diagnostics go on while simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._report_health, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._match_topics, clock=steady)
        folder = parameters.checkpoint_folder
        ModelSwap(self, lambda: self._model, self._load, self._take, folder)
        self._bond: Bond | None = None
        if parameters.autostart:
            self._start_timer = self.create_timer(0.0, self._start, clock=steady)
        else:
            # Most of what configure takes, before a manager asks for it and waits.
            Background(lambda: import_libraries(parameters.checkpoint))
            if parameters.bond_heartbeat_s and is_installed():
                self._bond = Bond(self, parameters.bond_heartbeat_s)
        self.get_logger().debug(f"parameters: {parameters}")

    @property
    def failed(self) -> bool:
        """Whether the node cannot go on."""
        return self._state == FAILED

    def stop(self) -> bool:
        """End for good; whether no thread is left behind."""
        self._deactivate()
        return not self.left_behind

    # Transitions. rclpy takes what they raise for ERROR and says nothing.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("configure", self._configure, UNCONFIGURED)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("activate", self._activate, INACTIVE)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("deactivate", self._deactivate, RUNNING)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("clean up", self._clean_up, INACTIVE)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        found = self._attempt("shut down", self._shut_down, FAILED)
        if found == SUCCESS:
            self._state, self._state_detail = FINALIZED, "shut down"
        return found

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("recover", self._shut_down, FAILED)

    def _attempt(
        self, what: str, step: Callable[[], None], state_after_failure: str
    ) -> TransitionCallbackReturn:
        try:
            step()
        except Exception as error:
            if not self.context.ok():  # told to end meanwhile, when much fails rightly
                return FAILURE
            self._state = state_after_failure
            self._state_detail = f"cannot {what}: {type(error).__name__}: {error}"
            self.get_logger().error(self._state_detail)
            self.get_logger().debug("".join(traceback.format_exception(error)))
            self._report_health()
            return FAILURE
        return SUCCESS

    def _configure(self) -> None:
        parameters = read_parameters(self)
        check_early(parameters)
        checkpoint = parameters.checkpoint or "the shipped checkpoint"
        self.get_logger().info(f"loading {checkpoint} (device: {parameters.device}) ...")
        started_s = time.monotonic()
        self._state = LOADING
        loading = Background(lambda: (choose_decoder(), self._load(parameters.checkpoint)))
        while not loading.is_done(DIAGNOSTICS_PERIOD_S):
            self._state_detail = f"loading the model for {time.monotonic() - started_s:.0f} s"
            self._log.info("loading", self._state_detail)
            if not self.context.ok():
                self.left_behind = True
                raise RuntimeError("told to end while loading")
            self._report_health()
        (self._decode, sentence), self._model = loading.result()
        self.get_logger().info(sentence)
        self._classes = ClassesOutput(self)
        for camera in self.cameras:
            camera.open_outputs()
        self._classes.publish(self._model.segmenter)
        self._state, self._state_detail = INACTIVE, "waiting to be activated"
        parts = ", ".join(f"{part} {s:.1f} s" for part, s in self._model.seconds.items())
        self.get_logger().info(
            f"ready after {time.monotonic() - started_s:.1f} s ({parts}): {self._model.describe()}"
        )

    def _activate(self) -> None:
        parameters = read_parameters(self)
        self._inference = Inference(
            self._model, self._decode, partial(read_parameters, self), self._give_up
        )
        for camera in self.cameras:
            camera.start(parameters.reliability, parameters.lazy, self._inference.offer)
            self.get_logger().info(f"images are awaited on {camera.topic}")
        self._state, self._state_detail = RUNNING, ""
        if self._bond is not None:
            self._bond.start()

    def _deactivate(self) -> None:
        if self._bond is not None:
            self._bond.stop()
        for camera in self.cameras:
            camera.stop()
        if self._inference is not None:
            self.left_behind |= not self._inference.stop(STOP_TIMEOUT_S)
            self._inference = None
            self._state, self._state_detail = INACTIVE, "waiting to be activated"

    def _clean_up(self) -> None:
        for camera in self.cameras:
            camera.close_outputs()
        if self._classes is not None:
            self._classes.close()
            self._classes = None
        self._model = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._state, self._state_detail = UNCONFIGURED, "waiting to be configured"

    def _shut_down(self) -> None:
        self._deactivate()
        self._clean_up()

    def _start(self) -> None:
        """What a lifecycle manager would do; without one there is nobody to try again."""
        self._start_timer.cancel()
        if self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS:
            return
        if self.context.ok():  # else told to end meanwhile
            self._fail(self._state_detail)

    def _give_up(self, error: BaseException) -> None:
        """On the inference thread, which ends with it."""
        if self.context.ok():
            self._fail(f"inference has ended: {type(error).__name__}: {error}")

    def _fail(self, sentence: str) -> None:
        self._state, self._state_detail = FAILED, sentence
        self.get_logger().fatal(sentence)
        self._report_health()  # the last word on /diagnostics is that it failed
        time.sleep(LAST_WORD_S)
        self.context.try_shutdown()  # ends the spinning

    # Models.

    def _load(self, checkpoint: str) -> Model:
        parameters = read_parameters(self)
        model = load_model(
            checkpoint,
            parameters.device,
            parameters.precision,
            parameters.encoder_weights,
            parameters.windows,
            parameters.threads,
        )
        for warning in model.segmenter.runtime.warnings:
            self.get_logger().warning(warning)
        return model

    def _take(self, model: Model) -> None:
        """Go on with another model than the one that was configured."""
        self._model = model
        self._classes.publish(model.segmenter)
        if self._inference is not None:
            self._inference.swap(model)

    # Every second.

    def _match_topics(self) -> None:
        for camera in self.cameras:
            camera.match_topics()

    def _report_health(self) -> None:
        message = DiagnosticArray(status=[self._status_of(camera) for camera in self.cameras])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _status_of(self, camera: Camera) -> DiagnosticStatus:
        now_s, parameters, topic = time.monotonic(), read_parameters(self), camera.topic
        snapshot = camera.statistics.snapshot(now_s)
        silent = snapshot.silence_s > parameters.no_image_warning_s
        if camera.is_subscribed and camera.enabled and silent:
            camera.log.warning(
                "silence", why_no_image(self, topic, snapshot.silence_s), SILENCE_WARNING_PERIOD_S
            )
        health = NodeHealth(
            state=self._state,
            state_detail=self._state_detail,
            image_topic=topic,
            no_image_warning_s=parameters.no_image_warning_s,
            no_mask_error_s=parameters.no_mask_error_s,
            reliability=camera.reliability,
            checkpoint=self._model.checkpoint if self._model else "",
            device=self._model.device if self._model else "",
            warnings=self._model.segmenter.runtime.warnings if self._model else (),
            enabled=camera.enabled,
            subscribed=camera.is_subscribed or self._state != RUNNING,
            findings=tuple(camera.found.take()),
            last_mask=camera.health,
        )
        own = f"{self.get_fully_qualified_name()}{'/' if camera.name else ''}{camera.name}"
        before, camera.last_snapshot = camera.last_snapshot, snapshot
        return diagnostic_status(f"{own}: segmentation", health, snapshot, before)
