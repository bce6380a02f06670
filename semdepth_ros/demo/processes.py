"""Player, node and recorder as processes of their own, as on a robot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from semdepth_ros.bags.drive import Drive
from semdepth_ros.demo.domain import claim_domain
from semdepth_ros.errors import SemdepthError

NODE = 'depth_node'

#: Seconds until the node has loaded its weights and listens; a first start builds its engine.
_START_PATIENCE = 120.0


class DemoError(SemdepthError):
    """A demo that cannot run, or a process of it that failed."""


def play_through_node(
    drive: Drive, recording: Path, log_folder: Path, weights: Path | None, config: Path | None
) -> None:
    """Play a drive in real time through `depth_node` and record what the node publishes.

    Args:
        drive: whose image, camera_info, odometry and static transforms are played.
        recording: bag to write.
        log_folder: gets what each process prints.
        weights: weights file of the node; None for its default.
        config: folder with `fastdds.xml`, where it is at hand.

    Raises:
        DemoError: when a process fails or the node does not start.
    """
    environment = _environment(config)
    log_folder.mkdir(parents=True, exist_ok=True)
    topics = drive.topics
    assert topics.image is not None and topics.camera_info is not None
    is_compressed = topics.image.endswith('/compressed')
    source = 'image/compressed' if is_compressed else 'image'
    arguments = [
        *('--ros-args', '-r', f'{source}:={topics.image}'),
        *('-r', f'camera_info:={topics.camera_info}'),
        *('-p', f'image_transport:={"compressed" if is_compressed else "raw"}'),
        *('-p', f'distortion:={"rectify" if drive.camera.is_distorted else "assume_rectified"}'),
    ]
    if weights is not None:
        arguments += ['-p', f'weights:={weights}']
    played = [topics.image, topics.camera_info, *filter(None, [topics.odometry])]
    played += [name for name in ('/tf', '/tf_static') if name in drive.topic_names]
    recorded = [f'/{NODE}/', '/diagnostics', '/tf_static']
    with (
        _Process('recorder', 'ros.record', [str(recording), '--topics', *recorded],
                 environment, log_folder) as recorder,
        _Process('node', 'ros.node', arguments, environment, log_folder) as node,
        _Process('player', 'ros.play', [str(drive.path), '--topics', *played],
                 environment, log_folder) as player,
    ):  # fmt: skip
        duration = float(drive.stamps[-1] - drive.stamps[0]) * 1e-9
        deadline = time.monotonic() + _START_PATIENCE + duration
        while player.is_running():
            node.check()
            recorder.check()
            if time.monotonic() > deadline:
                raise DemoError(
                    f'the node did not start within {_START_PATIENCE:g} s, see {node.log}'
                )
            time.sleep(0.1)
        player.finish(timeout=5)
        # The newest frames are still on their way, and the last diagnostics take a second.
        time.sleep(2.5)
        node.finish(timeout=5)
        recorder.finish(timeout=30)


def _environment(config: Path | None) -> dict[str, str]:
    environment = dict(os.environ, ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST')
    # A domain of its own, so that no robot nearby takes part.
    if 'ROS_DOMAIN_ID' not in environment:
        environment['ROS_DOMAIN_ID'] = str(claim_domain())
    if config is not None and (config / 'fastdds.xml').exists():
        environment.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(config / 'fastdds.xml'))
    return environment


class _Process:
    """A module of this package run with its output in a log file; ended with the block."""

    def __init__(
        self, name: str, module: str, arguments: list[str], environment: dict, folder: Path
    ) -> None:
        self.name, self.log = name, folder / f'{name}.log'
        with self.log.open('w') as output:
            self._process = subprocess.Popen(
                [sys.executable, '-m', f'semdepth_ros.{module}', *arguments],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def is_running(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raise if the process has ended already."""
        if not self.is_running():
            raise DemoError(f'the {self.name} ended early: {self._last_words()}')

    def finish(self, timeout: float) -> None:
        """Ask the process to end (it may have ended by itself) and expect exit code 0."""
        if self.is_running():
            self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise DemoError(f'the {self.name} did not end within {timeout:g} s') from error
        if code != 0:
            raise DemoError(f'the {self.name} ended with code {code}: {self._last_words()}')

    def _last_words(self) -> str:
        lines = self.log.read_text(errors='replace').strip().splitlines()
        return f'{lines[-1] if lines else "it said nothing"} (see {self.log})'

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.is_running():
            self._process.kill()
            self._process.wait()
