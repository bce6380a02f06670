"""The node's state in words: one diagnostic for the engine, one for each camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus

from semdepth_ros.ros.diagnostics import ERROR, OK, WARN, status
from semdepth_ros.ros.worker import Channel, Worker

if TYPE_CHECKING:
    from semdepth_ros.ros.network import Network

#: Seconds after which an engine that has not answered is taken to hang.
ENGINE_PATIENCE = 5.0


def health(
    node: str,
    failure: str,
    network: Network | None,
    channels: Sequence[Channel],
    worker: Worker | None,
    image_timeout: float,
) -> list[DiagnosticStatus]:
    """Return what /diagnostics shows.

    Args:
        node: name of the node.
        failure: why the last transition failed, or ''.
        network: while the node is configured.
        channels: while the node is configured.
        worker: while the node is active.
        image_timeout: seconds without an image that are an error.
    """
    return [
        _engine_status(node, failure, network, worker),
        *(_camera_status(node, channel, worker is not None, image_timeout) for channel in channels),
    ]


def _engine_status(
    node: str, failure: str, network: Network | None, worker: Worker | None
) -> DiagnosticStatus:
    if network is None:
        level = ERROR if failure else OK
        return status(f'{node}: engine', level, failure or 'not configured', {})
    engine, weights = network.engine, network.weights
    values = {
        'engine': engine.name,
        'device': engine.device,
        'precision': engine.precision,
        'input': f'{engine.batch} x {engine.width}x{engine.height}',
        'weights': str(weights.path or 'random numbers'),
    }
    if failure:
        return status(f'{node}: engine', ERROR, failure, values)
    busy = worker.busy_for() if worker is not None else 0.0
    if busy > ENGINE_PATIENCE:
        text = f'the engine has not answered for {busy:.0f} s'
        return status(f'{node}: engine', ERROR, text, values)
    if network.warning:
        return status(f'{node}: engine', WARN, network.warning, values)
    if not weights.card.trained:
        text = 'the weights are untrained: depth and labels mean nothing'
        return status(f'{node}: engine', WARN, text, values)
    return status(f'{node}: engine', OK, 'ready', values)


def _camera_status(
    node: str, channel: Channel, is_active: bool, image_timeout: float
) -> DiagnosticStatus:
    values = channel.statistics.values()
    values['topic'] = channel.input.image_topic
    level, message = OK, 'publishing'
    scale = channel.scale
    if scale is not None:
        values['scale factor'] = f'{scale.factor:.6g}'
        values['scale source'] = scale.reason
        if not scale.is_metric:
            level, message = WARN, f'scale: {scale.reason}'
    if not is_active:
        level, message = OK, 'inactive'
    elif fault := channel.input.silence(image_timeout) or channel.statistics.standing_fault():
        level, message = ERROR, fault
    elif not channel.outputs.heard():
        level, message = OK, 'idle: nobody listens'
    name = f'{node}: camera {channel.name}' if channel.name else f'{node}: camera'
    return status(name, level, message, values)
