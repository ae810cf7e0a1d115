# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The inference thread between an activation of the node and its deactivation."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from t2g_core.health.stream_health import StreamHealth
from t2g_core.streaming import continuity
from t2g_core.streaming.continuity import NS, FrameInfo, Reset
from t2g_core.streaming.streaming_segmenter import EncodedFrame
from t2g_core.streaming.video_segmenter import ClipStride, VideoSegmenter
from t2g_ros.camera import Camera, Frame
from t2g_ros.log import shortened
from t2g_ros.model_loading import Model
from t2g_ros.parameters import SegmenterParameters
from t2g_ros.stream_statistics import INFERENCE_ERROR
from t2g_ros.worker import Worker

MOST_FAILURES = 5  # in a row; a GPU that has failed once may fail for ever


class Inference:
    """Segments the newest frames of all cameras, encoded together, and publishes the results.

    Each camera's clip starts anew with it, and with a model that is swapped in.
    """

    def __init__(
        self,
        model: Model,
        decode: Callable[[Image | CompressedImage], np.ndarray],
        read_parameters: Callable[[], SegmenterParameters],
        give_up: Callable[[BaseException], None],
    ) -> None:
        self._model = self._next = model
        self._decode, self._read_parameters = decode, read_parameters
        self._videos: dict[Camera, VideoSegmenter] = {}
        self._health: dict[Camera, StreamHealth] = {}
        self._failures = 0
        self._stopped = False
        self._worker: Worker[Frame] = Worker(self._segment, give_up)
        self._worker.start()

    def offer(self, frame: Frame) -> bool:
        """Hand over a camera's newest frame; whether one that was waiting was dropped for it."""
        return self._worker.offer(frame.camera, frame)

    def swap(self, model: Model) -> None:
        """Go on with another model from the next frames on."""
        self._next = model

    def stop(self, timeout_s: float) -> bool:
        """Publish nothing more; whether the frames in progress have ended in this time [s]."""
        self._stopped = True
        return self._worker.stop(timeout_s)

    def _segment(self, frames: list[Frame]) -> None:
        if self._model is not self._next:
            self._model, self._videos, self._health = self._next, {}, {}
        readable = [(frame, image) for frame in frames if (image := self._read(frame)) is not None]
        if not readable:
            return
        try:
            encoded = self._model.segmenter.encode_together([image for _, image in readable])
        except Exception as error:
            for frame, _ in readable:
                self._drop_failed(frame.camera, error)
            self._count_failure(error)
            return
        for (frame, image), features in zip(readable, encoded, strict=True):
            if self._stopped:
                return
            try:
                self._segment_and_publish(frame, image, features)
            except Exception as error:
                if self._stopped:  # when publishing fails rightly
                    return
                self._drop_failed(frame.camera, error)
                self._count_failure(error)

    def _read(self, frame: Frame) -> np.ndarray | None:
        try:
            return self._decode(frame.message)
        except Exception as error:  # cv_bridge has errors of its own
            frame.camera.statistics.image_answered()
            frame.camera.drop_bad_image(error)
            return None

    def _segment_and_publish(self, frame: Frame, image: np.ndarray, encoded: EncodedFrame) -> None:
        parameters, camera, header = self._read_parameters(), frame.camera, frame.message.header
        stamp_ns = header.stamp.sec * NS + header.stamp.nanosec
        info = FrameInfo(stamp_ns, image.shape[:2], header.frame_id)
        video = self._video(camera)
        if camera.reset_asked:
            camera.reset_asked = False
            video.reset(Reset(continuity.REQUEST, "~/reset was called"))
        stride = ClipStride(parameters.clip_stride, parameters.clip_stride_s)
        segmented = video.segment_encoded(encoded, info, parameters.max_gap_s, stride)
        if self._stopped:
            return
        if segmented.reset is not None:
            reset = segmented.reset
            camera.log.info(reset.reason, f"memory emptied: {reset.detail}")
        health = self._health_of(camera, parameters.consistency_window).update(
            image, segmented, stamp_ns, parameters.health_limits, parameters.motion_correction
        )
        camera.health = health
        camera.found.add(health.findings)
        camera.outputs.publish(header, image, segmented, health, self._model.segmenter, parameters)
        camera.statistics.mask_published(frame.arrival_s, time.monotonic())
        self._failures = 0

    def _video(self, camera: Camera) -> VideoSegmenter:
        if camera not in self._videos:
            self._videos[camera] = VideoSegmenter(self._model.segmenter)
        return self._videos[camera]

    def _health_of(self, camera: Camera, window: int) -> StreamHealth:
        if camera not in self._health:
            self._health[camera] = StreamHealth(self._model.segmenter, window)
        return self._health[camera]

    def _drop_failed(self, camera: Camera, error: Exception) -> None:
        sentence = f"{type(error).__name__}: {error}"
        camera.statistics.image_answered()
        count = camera.statistics.image_dropped(INFERENCE_ERROR, sentence, time.monotonic())
        if camera in self._videos:
            self._videos[camera].reset(Reset(continuity.INFERENCE_ERROR, shortened(sentence)))
        camera.log.error(
            "inference error",
            f"skipped an image that the model failed on ({count} so far): "
            f"{''.join(traceback.format_exception(error))}",
        )

    def _count_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise RuntimeError(
                f"the model failed on {self._failures} images in a row, the last time with "
                f"{type(error).__name__}: {error}; start the node anew"
            ) from error
