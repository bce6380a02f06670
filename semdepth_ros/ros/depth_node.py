"""The lifecycle node: wiring between inputs, worker, outputs and diagnostics."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from semdepth_ros.errors import SemdepthError
from semdepth_ros.pipeline import FramePipeline
from semdepth_ros.ros import parameters
from semdepth_ros.ros.diagnostics import FrameStatistics
from semdepth_ros.ros.health import ENGINE_PATIENCE, health
from semdepth_ros.ros.inputs import CameraInput
from semdepth_ros.ros.mailbox import Mailbox
from semdepth_ros.ros.odometry import MotionFromPoseNetwork, OdometryError, SpeedHistory
from semdepth_ros.ros.outputs import CameraOutputs
from semdepth_ros.ros.qos import output_qos, overridable
from semdepth_ros.ros.scaling import CameraHeightFeed, OdometryFeed, ScaleFeed, WeightsFeed
from semdepth_ros.ros.speed import SpeedInput
from semdepth_ros.ros.synchronizer import Synchronizer, create_synchronizer, stamp_ns
from semdepth_ros.ros.throttle import ThrottledLog
from semdepth_ros.ros.worker import Batch, Channel, Frame, Worker

if TYPE_CHECKING:
    # It imports torch, which takes seconds: only configure waits for that.
    from semdepth_ros.ros.network import Network

#: Images of one camera that wait for those of the others.
_SYNC_DEPTH = 10


class DepthNode(LifecycleNode):
    """Depth, labels and clouds of one or several cameras.

    Raises:
        ParameterError: where a parameter was given a value that cannot be used.
    """

    def __init__(self) -> None:
        super().__init__('depth_node')
        self.parameters = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        for text in parameters.misspelt(self):
            self._log_warning(text)
        self._throttled = ThrottledLog()
        self._failure = ''
        self._network: Network | None = None
        self._pipeline: FramePipeline | None = None
        self._channels: list[Channel] = []
        self._speed_input: SpeedInput | None = None
        self._speeds = SpeedHistory()
        self._synchronizer: Synchronizer | None = None
        self._mailbox: Mailbox[Batch] | None = None
        self._worker: Worker | None = None
        self._newest_ns: dict[str, int] = {}
        self._diagnostics = self.create_publisher(
            DiagnosticArray, '/diagnostics', output_qos(), qos_overriding_options=overridable()
        )
        # Under simulated time that stands still, the node still says what is wrong.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(0.5, self._follow_publishers, clock=steady)

    def start(self) -> None:
        """Configure and activate, as a launch file would."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self, timeout: float) -> bool:
        """End the work before the process ends; return False if the engine did not come back."""
        return self._stop(timeout)

    # Lifecycle. rclpy swallows what a callback raises, so none may.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load weights and engine, and offer the outputs."""
        try:
            self._configure()
        except Exception as error:
            self._release()
            return self._failed('configure', error)
        self._failure = ''
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and work."""
        try:
            self._start()
        except Exception as error:
            self._stop(ENGINE_PATIENCE)
            return self._failed('activate', error)
        self._failure = ''
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop work; nothing is published from here on."""
        if not self._stop(ENGINE_PATIENCE):
            # Freeing it under a running call would crash: it is left alone, and so is its memory.
            self._network = None
            error = SemdepthError(f'the engine did not answer for {ENGINE_PATIENCE:g} s')
            self._failed('deactivate', error)
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the engine's memory and take the outputs away."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End from any state."""
        if not self._stop(ENGINE_PATIENCE):
            self._network = None
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured, from where another attempt can be made."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        # Here and not above: torch takes seconds.
        from semdepth_ros.ros.network import Network

        self._network = Network(self.parameters, self._log_info)
        self._pipeline = self._make_pipeline()
        for index, name in enumerate(self.parameters.cameras):
            statistics = FrameStatistics()
            warn = functools.partial(self._warn, statistics)
            self._channels.append(
                Channel(
                    name,
                    CameraInput(
                        self,
                        name,
                        self.parameters,
                        statistics,
                        functools.partial(self._take_image, index),
                        warn,
                    ),
                    CameraOutputs(self, name, warn),
                    self._make_scale_feed(),
                    statistics,
                )
            )

    def _start(self) -> None:
        assert self._network is not None
        self._mailbox = Mailbox()
        self._newest_ns.clear()
        if len(self._channels) > 1:
            self._synchronizer = create_synchronizer(
                len(self._channels), self.parameters.sync_slop, _SYNC_DEPTH, self._post
            )
        self._worker = Worker(
            self._mailbox,
            self._channels,
            self._network,
            self._in_force,
            self._stamp_age,
            self._report,
        )
        for channel in self._channels:
            channel.outputs.publish_label_info(Header())
            channel.input.start()
        if self.parameters.scale_source == 'odometry':
            self._speed_input = SpeedInput(self, self._speeds)

    def _stop(self, timeout: float) -> bool:
        for channel in self._channels:
            channel.input.stop()
        if self._speed_input is not None:
            self._speed_input.destroy()
            self._speed_input = None
        if self._synchronizer is not None:
            self._synchronizer.reset()
            self._count_unmatched()
            self._synchronizer = None
        worker, self._worker = self._worker, None
        return worker is None or worker.stop(timeout)

    def _release(self) -> None:
        for channel in self._channels:
            channel.outputs.destroy()
        self._channels = []
        if self._network is not None:
            self._network.close()
        self._network = self._pipeline = None

    def _failed(self, transition: str, error: Exception) -> TransitionCallbackReturn:
        kind = '' if isinstance(error, SemdepthError) else f'{type(error).__name__}: '
        self._failure = f'{transition} failed: {kind}{error}'
        self._log_error(self._failure)
        return TransitionCallbackReturn.FAILURE

    def _make_pipeline(self) -> FramePipeline:
        assert self._network is not None
        card = self._network.weights.card
        return FramePipeline(
            card.width,
            card.height,
            card.focal_length,
            self.parameters.fit,
            self.parameters.output,
        )

    def _make_scale_feed(self) -> ScaleFeed:
        assert self._network is not None
        weights, p = self._network.weights, self.parameters
        if p.scale_source == 'camera_height':
            return CameraHeightFeed(p.camera_height)
        if p.scale_source == 'odometry':
            if weights.pose is None:
                raise OdometryError(
                    f'scale_source is odometry, but weights {p.weights or "(shipped)"} hold no '
                    'pose network'
                )
            return OdometryFeed(MotionFromPoseNetwork(weights.pose, self._speeds))
        return WeightsFeed(weights.card.scale)

    # Frames.

    def _take_image(self, index: int, message: Any, received_at: float) -> None:
        channel = self._channels[index]
        frame = Frame(message, received_at)
        stamp = stamp_ns(frame)
        newest = self._newest_ns.get(channel.name, -1)
        self._newest_ns[channel.name] = stamp
        if stamp == newest:
            self._warn(
                channel.statistics,
                f'{channel.input.image_topic}: stamps stand still at {stamp * 1e-9:.3f} s',
            )
        elif stamp < newest:
            self._warn(
                channel.statistics,
                f'{channel.input.image_topic}: stamps jump back by {(newest - stamp) * 1e-9:.3f} s',
            )
            if self._synchronizer is not None:
                self._synchronizer.reset()
        if self._synchronizer is None:
            self._post((frame,))
        else:
            self._synchronizer.add(index, frame)
            self._count_unmatched()

    def _post(self, batch: Batch) -> None:
        assert self._mailbox is not None
        if self._mailbox.put(batch) is not None:
            for channel in self._channels:
                channel.statistics.count('replaced')

    def _count_unmatched(self) -> None:
        assert self._synchronizer is not None
        for channel, unmatched in zip(self._channels, self._synchronizer.unmatched):
            channel.statistics.set_unmatched(unmatched)

    def _in_force(self) -> tuple[FramePipeline, parameters.Parameters]:
        assert self._pipeline is not None
        return self._pipeline, self.parameters

    def _stamp_age(self, header: Header) -> float | None:
        age = (
            self.get_clock().now().nanoseconds
            - (header.stamp.sec * 1_000_000_000 + header.stamp.nanosec)
        ) * 1e-9
        # Outside of this the stamps come from another clock, such as a bag's.
        return age if 0 <= age < 10 else None

    # Parameters, words and numbers.

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        try:
            self.parameters = parameters.updated(
                self.parameters, changes, lambda: self._network is None
            )
        except SemdepthError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._network is not None:
            self._pipeline = self._make_pipeline()
        return SetParametersResult(successful=True)

    def _report(self, channel: Channel, text: str) -> None:
        channel.statistics.fault(text)
        prefix = f'{channel.name}: ' if channel.name else ''
        self._throttled.say(self._log_error, prefix + text)

    def _warn(self, statistics: FrameStatistics, text: str) -> None:
        statistics.last_warning = text
        self._throttled.say(self._log_warning, text)

    def _follow_publishers(self) -> None:
        if self._worker is not None:
            for channel in self._channels:
                channel.input.follow_publishers()

    def _publish_diagnostics(self) -> None:
        entries = health(
            self.get_fully_qualified_name().lstrip('/'),
            self._failure,
            self._network,
            self._channels,
            self._worker,
            self.parameters.image_timeout,
        )
        for entry in entries:
            if entry.level != entry.OK:
                # Worded as in `_report`, so that a fault is not said twice.
                camera = entry.name.partition(': camera ')[2]
                text = f'{camera}: {entry.message}' if camera else entry.message
                self._throttled.say(self._log_warning, text)
        array = DiagnosticArray(header=Header(stamp=self.get_clock().now().to_msg()))
        array.status = entries
        self._diagnostics.publish(array)

    # rclpy holds the severity of a line of code fixed: each has a line of its own.

    def _log_info(self, text: str) -> None:
        self.get_logger().info(text)

    def _log_warning(self, text: str) -> None:
        self.get_logger().warning(text)

    def _log_error(self, text: str) -> None:
        self.get_logger().error(text)
