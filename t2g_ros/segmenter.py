"""The `segmenter` node: parameters, model, publishers.

Images come in on the executor's thread, which only looks at their headers and keeps the newest;
the inference thread converts, segments and publishes one at a time.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from t2g_core.streaming import continuity
from t2g_core.streaming.continuity import NS, FrameInfo, Reset
from t2g_ros.diagnostics import FAILED, LOADING, RUNNING, NodeHealth, diagnostic_status
from t2g_ros.image_decoder import choose_decoder
from t2g_ros.image_input import ImageInput, check_message
from t2g_ros.input_watch import why_no_image
from t2g_ros.log import Log, shortened
from t2g_ros.model_loading import load_video_segmenter
from t2g_ros.outputs import Outputs
from t2g_ros.parameters import (
    check_early,
    declare_parameters,
    read_parameters,
    unknown_parameters,
)
from t2g_ros.stream_statistics import (
    BAD_IMAGE,
    DISABLED,
    INFERENCE_ERROR,
    MODEL_LOADING,
    NEWER_FRAME,
    RATE_LIMIT,
    StreamStatistics,
)
from t2g_ros.worker import Worker

DIAGNOSTICS_PERIOD_S = 1.0
SIGNAL_PERIOD_S = 0.2  # how often a waiting node looks whether it was told to end
LAST_WORD_S = 0.3  # for the last diagnostics to leave the process
SILENCE_WARNING_PERIOD_S = 30.0
STOP_TIMEOUT_S = 1.0  # a load or a frame that takes longer is left behind
MOST_FAILURES = 5  # in a row; a GPU that has failed once may fail for ever


@dataclass(frozen=True)
class Frame:
    """An image message and when it came, by the monotonic clock [s]."""

    message: Image | CompressedImage
    arrival_s: float


class Segmenter(Node):
    """Subscribes to `image`; publishes masks and what goes with them in its own namespace."""

    def __init__(self) -> None:
        super().__init__("segmenter")
        declare_parameters(self)
        self._log = Log(self.get_logger())
        self._failures = 0
        self._enabled, self._reset_asked = True, False
        self._due_s = -math.inf  # when the last image that max_rate_hz let through was due
        self._state, self._state_detail, self._device = LOADING, "loading the model", ""
        self._started_s = time.monotonic()
        self._statistics = StreamStatistics(self._started_s)
        self._last_snapshot = self._statistics.snapshot(self._started_s)
        self._outputs = Outputs(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._worker: Worker[Frame] = Worker(self._load_model, self._segment, self._give_up)
        parameters = read_parameters(self)
        check_early(parameters)
        for sentence in unknown_parameters(self):
            self.get_logger().warning(sentence)
        self._images = ImageInput(
            self, "image", parameters.reliability, self._on_image, self._count_lost
        )
        self.get_logger().info(f"images are awaited on {self._images.topic}")
        # On a clock of its own: diagnostics go on while simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._report_health, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._images.match_publishers, clock=steady)
        self.create_service(Trigger, "~/reset", self._answer_reset)
        self.create_service(SetBool, "~/set_enabled", self._answer_set_enabled)
        self._worker.start()
        self.get_logger().debug(f"parameters: {parameters}")

    @property
    def failed(self) -> bool:
        """Whether the inference thread has ended with an error."""
        return self._state == FAILED

    def stop(self) -> bool:
        """Let the inference thread finish its frame; whether it has ended in STOP_TIMEOUT_S."""
        return self._worker.stop(STOP_TIMEOUT_S)

    # On the executor's thread.

    def _on_image(self, message: Image | CompressedImage) -> None:
        arrival_s = time.monotonic()
        self._statistics.image_received(arrival_s)
        try:
            check_message(message)
        except ValueError as error:
            self._drop_bad_image(error)
            return
        if self._state == LOADING:
            self._statistics.image_dropped(MODEL_LOADING)
            return
        if not self._enabled:
            self._statistics.image_dropped(DISABLED)
            return
        if not self._is_due(arrival_s):
            self._statistics.image_dropped(RATE_LIMIT)
            return
        self._statistics.image_offered(arrival_s)
        if self._worker.offer(Frame(message, arrival_s)):
            self._statistics.image_dropped(NEWER_FRAME)

    def _is_due(self, now_s: float) -> bool:
        """Whether max_rate_hz lets an image through; it allows that rate on average."""
        rate_hz = self.get_parameter("max_rate_hz").value
        if not rate_hz:
            return True
        step_s, since_s = 1 / rate_hz, now_s - self._due_s
        if since_s < step_s:
            return False
        # A step on from when one was due, so that a camera's own grid does not lower the rate.
        self._due_s = self._due_s + step_s if since_s < 2 * step_s else now_s
        return True

    def _answer_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._reset_asked = True
        response.success, response.message = True, "the next mask starts a new clip"
        return response

    def _answer_set_enabled(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._enabled = request.data
        response.success = True
        response.message = "segmentation is " + ("on" if request.data else "off")
        self.get_logger().info(response.message)
        return response

    def _count_lost(self, count: int) -> None:
        self._statistics.images_lost(count)
        self._log.warning(
            "lost",
            f"{count} images were lost on their way; large ones need a reliable publisher or more "
            "shared memory on its side (config/fastdds_large_images.xml)",
        )

    def _report_health(self) -> None:
        now_s = time.monotonic()
        snapshot = self._statistics.snapshot(now_s)
        parameters = read_parameters(self)
        topic = self._images.topic
        enabled = self._enabled
        if self._state == LOADING:
            self._state_detail = f"loading the model for {now_s - self._started_s:.0f} s"
            self._log.info("loading", self._state_detail)
        elif enabled and snapshot.silence_s > parameters.no_image_warning_s:
            self._log.warning(
                "silence", why_no_image(self, topic, snapshot.silence_s), SILENCE_WARNING_PERIOD_S
            )
        health = NodeHealth(
            state=self._state,
            state_detail=self._state_detail,
            image_topic=topic,
            no_image_warning_s=parameters.no_image_warning_s,
            no_mask_error_s=parameters.no_mask_error_s,
            reliability=self._images.reliability,
            checkpoint=parameters.checkpoint or "shipped",
            device=self._device,
            enabled=enabled,
        )
        name = f"{self.get_fully_qualified_name()}: segmentation"
        status = diagnostic_status(name, health, snapshot, self._last_snapshot)
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        self._last_snapshot = snapshot

    def _drop_bad_image(self, error: Exception) -> None:
        count = self._statistics.image_dropped(BAD_IMAGE, str(error), time.monotonic())
        self._log.warning(
            "bad image",
            f"skipped an image that cannot be read ({count} so far): {shortened(str(error))}",
        )

    # On the inference thread.

    def _load_model(self) -> None:
        parameters = read_parameters(self)
        checkpoint = parameters.checkpoint or "the shipped checkpoint"
        self.get_logger().info(f"loading {checkpoint} (device: {parameters.device}) ...")
        self._decode, sentence = choose_decoder()
        self.get_logger().info(sentence)
        self._video, self._device = load_video_segmenter(
            parameters.checkpoint,
            parameters.device,
            parameters.precision,
            parameters.encoder_weights,
            parameters.consistency_window,
        )
        segmenter = self._video.segmenter
        self.get_logger().info(
            f"ready after {time.monotonic() - self._started_s:.1f} s on {self._device} in "
            f"{segmenter.precision}: {len(segmenter.class_names)} classes, "
            f"clips of {segmenter.clip_length} frames"
        )
        self._outputs.publish_classes(segmenter)
        self._state, self._state_detail = RUNNING, ""

    def _segment(self, frame: Frame) -> None:
        try:
            image = self._decode(frame.message)
        except Exception as error:  # cv_bridge has errors of its own
            self._statistics.image_answered()
            self._drop_bad_image(error)
            return
        try:
            self._segment_and_publish(frame, image)
        except Exception as error:
            if self.context.ok():  # not so while shutting down, when publishing fails rightly
                self._drop_failed(error)

    def _segment_and_publish(self, frame: Frame, image) -> None:
        parameters = read_parameters(self)
        header = frame.message.header
        stamp_ns = header.stamp.sec * NS + header.stamp.nanosec
        info = FrameInfo(stamp_ns, image.shape[:2], header.frame_id)
        if self._reset_asked:
            self._reset_asked = False
            self._video.reset(Reset(continuity.REQUEST, "~/reset was called"))
        segmented = self._video.segment(image, info, parameters.max_gap_s)
        if segmented.reset is not None:
            reset = segmented.reset
            self._log.info(reset.reason, f"clip buffer emptied: {reset.detail}")
        segmenter = self._video.segmenter
        self._outputs.publish(header, image, segmented, segmenter, parameters.overlay_opacity)
        self._statistics.mask_published(frame.arrival_s, time.monotonic())
        self._failures = 0

    def _drop_failed(self, error: Exception) -> None:
        sentence = f"{type(error).__name__}: {error}"
        self._statistics.image_answered()
        count = self._statistics.image_dropped(INFERENCE_ERROR, sentence, time.monotonic())
        self._video.reset(Reset(continuity.INFERENCE_ERROR, shortened(sentence)))
        self._log.error(
            "inference error",
            f"skipped an image that the model failed on ({count} so far): "
            f"{''.join(traceback.format_exception(error))}",
        )
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise RuntimeError(
                f"the model failed on {self._failures} images in a row, the last time with "
                f"{sentence}; start the node anew"
            ) from error

    def _give_up(self, error: BaseException) -> None:
        if not self.context.ok():  # told to end meanwhile
            return
        problem = "cannot load the model" if self._state == LOADING else "inference has ended"
        self._state, self._state_detail = FAILED, f"{problem}: {type(error).__name__}: {error}"
        self.get_logger().fatal(self._state_detail)
        self.get_logger().debug("".join(traceback.format_exception(error)))
        self._report_health()  # the last word on /diagnostics is that it failed
        time.sleep(LAST_WORD_S)
        self.context.try_shutdown()  # ends the spinning


def main() -> int:
    """Run the node until it is told to end; 1 if it could not go on."""
    # rclpy's own handlers end the process at a second signal, and leave it to none at the end.
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # a remapping or an argument that ROS cannot read
        print(f"segmenter: cannot start: {error}", file=sys.stderr)
        return 1
    log = rclpy.logging.get_logger("segmenter")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: rclpy.try_shutdown())
    try:
        node = Segmenter()
    except Exception as error:  # rclpy's own errors of names and values have many types
        if not rclpy.ok():  # told to end meanwhile
            return 0
        log.fatal(f"cannot start: {error}")
        rclpy.try_shutdown()
        return 1
    spin(node)
    ended, failed = node.stop(), node.failed
    if ended:
        node.destroy_node()
    rclpy.try_shutdown()
    if not ended:  # a load or a frame in progress: nothing can be lost by leaving it
        sys.stdout.flush()
        os._exit(1 if failed else 0)
    return 1 if failed else 0


def spin(node: Segmenter) -> None:
    """Serve the node until it is told to end, whatever a single request does.

    rclpy raises some requests' errors out of the executor, for example for a parameter value of a
    type that it does not know.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while rclpy.ok():
        try:
            executor.spin_once(timeout_sec=SIGNAL_PERIOD_S)
        except ExternalShutdownException:
            return
        except Exception as error:
            if rclpy.ok():
                node.get_logger().error(
                    f"a request failed: {type(error).__name__}: {shortened(str(error))}"
                )
