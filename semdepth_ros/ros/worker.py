"""The one thread that turns frames into outputs: decode, predict, scale, publish."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from std_msgs.msg import Header

from semdepth_ros.engines.engine import Prediction
from semdepth_ros.errors import SemdepthError
from semdepth_ros.pipeline import FramePipeline, PreparedFrame
from semdepth_ros.ros.diagnostics import FrameStatistics
from semdepth_ros.ros.inputs import CameraInput
from semdepth_ros.ros.mailbox import Mailbox
from semdepth_ros.ros.messages import message_to_rgb
from semdepth_ros.ros.outputs import CameraOutputs
from semdepth_ros.ros.parameters import Parameters
from semdepth_ros.ros.scaling import ScaleFeed
from semdepth_ros.ros.synchronizer import stamp_ns
from semdepth_ros.scale import Scale

if TYPE_CHECKING:
    # It imports torch, which takes seconds: only configure waits for that.
    from semdepth_ros.ros.network import Network


@dataclasses.dataclass(frozen=True)
class Frame:
    """An image message and when it was received, by the monotonic clock."""

    message: Any
    received_at: float

    @property
    def header(self) -> Header:
        """Stamp and frame of the image."""
        return self.message.header


#: One frame of every camera.
Batch = Sequence[Frame]


@dataclasses.dataclass
class Channel:
    """Everything of one camera. `name` is '' where there is only one."""

    name: str
    input: CameraInput
    outputs: CameraOutputs
    scale_feed: ScaleFeed
    statistics: FrameStatistics
    scale: Scale | None = None


class Worker:
    """Takes batches from the mailbox until it is stopped; a bad frame is named and left out.

    Args:
        mailbox: where the newest batch waits.
        channels: of the cameras, in the order of the batch.
        network: that predicts.
        pipeline: gives the pipeline and the parameters in force, asked once a batch.
        stamp_age: gives the seconds since a header's stamp, or None where the clocks disagree.
        report: takes a channel and the sentence about its fault.
    """

    def __init__(
        self,
        mailbox: Mailbox[Batch],
        channels: Sequence[Channel],
        network: Network,
        pipeline: Callable[[], tuple[FramePipeline, Parameters]],
        stamp_age: Callable[[Any], float | None],
        report: Callable[[Channel, str], None],
    ) -> None:
        self._mailbox = mailbox
        self._channels = channels
        self._network = network
        self._pipeline = pipeline
        self._stamp_age = stamp_age
        self._report = report
        self._stopped = threading.Event()
        self._busy_since: float | None = None
        # A daemon, because an engine that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, name='depth worker', daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End the work; return False if the engine did not come back within `timeout` seconds.

        Nothing is published from now on, even if the engine comes back later.
        """
        self._stopped.set()
        if self._mailbox.close() is not None:
            self._count('discarded')
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def busy_for(self) -> float:
        """Return for how many seconds the frame in hand has been worked on."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        while (batch := self._mailbox.take()) is not None:
            self._busy_since = time.monotonic()
            try:
                self._process(batch)
            except Exception as error:
                # Whatever a frame brings, the next one gets its chance.
                for channel in self._channels:
                    self._fail(channel, error)
            finally:
                self._busy_since = None

    def _process(self, batch: Batch) -> None:
        if not any(channel.outputs.heard() for channel in self._channels):
            self._count('unheard')
            return
        pipeline, parameters = self._pipeline()
        prepared = [
            self._prepare(channel, frame, pipeline, parameters)
            for channel, frame in zip(self._channels, batch)
        ]
        seen = [one for one in prepared if one is not None]
        if not seen:
            return
        blank = np.zeros_like(seen[0].network_image)
        try:
            images = np.stack([blank if one is None else one.network_image for one in prepared])
            prediction = self._network.predict(images)
        except Exception as error:
            # Frames that could not be prepared are counted already.
            for channel, one in zip(self._channels, prepared):
                if one is not None:
                    self._fail(channel, error)
            return
        for index, (channel, frame, one) in enumerate(zip(self._channels, batch, prepared)):
            if one is None:
                continue
            if self._stopped.is_set():
                channel.statistics.count('discarded')
                continue
            try:
                self._publish(channel, frame, one, prediction, index, pipeline, parameters)
            except Exception as error:
                self._fail(channel, error)

    def _prepare(
        self, channel: Channel, frame: Frame, pipeline: FramePipeline, parameters: Parameters
    ) -> PreparedFrame | None:
        try:
            image = message_to_rgb(frame.message)
            height, width = image.shape[:2]
            camera, rectified = channel.input.camera(width, height, parameters.distortion)
            return pipeline.prepare(image, camera, rectified)
        except Exception as error:
            self._fail(channel, error)
            return None

    def _publish(
        self,
        channel: Channel,
        frame: Frame,
        prepared: PreparedFrame,
        prediction: Prediction,
        index: int,
        pipeline: FramePipeline,
        parameters: Parameters,
    ) -> None:
        header = frame.header
        feed = channel.scale_feed
        try:
            feed.update(pipeline, prepared, prediction, index, stamp_ns(frame))
            scale = feed.source.current()
        except SemdepthError as error:
            # The factor is held; that it cannot be followed is said.
            scale = dataclasses.replace(feed.source.current(), reason=str(error))
            self._report(channel, str(error))
        channel.scale = scale
        result = pipeline.finish(prepared, prediction, index, scale.factor)
        errors = channel.outputs.publish(header, result, scale.factor, parameters.depth_encoding)
        channel.statistics.publish_errors += errors
        channel.statistics.published(frame.received_at, self._stamp_age(header))

    def _count(self, name: str) -> None:
        for channel in self._channels:
            channel.statistics.count(name)

    def _fail(self, channel: Channel, error: Exception) -> None:
        channel.statistics.count('failed')
        self._report(channel, _sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, SemdepthError):
        return str(error)
    if isinstance(error, cv2.error):
        return f'OpenCV: {error.err}'
    return f'{type(error).__name__}: {error}'
