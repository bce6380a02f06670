"""For the odometry scale: how far the network saw the camera move, and how fast it went."""

from __future__ import annotations

import bisect
import collections
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from semdepth_ros.errors import SemdepthError


class OdometryError(SemdepthError):
    """Odometry that does not cover the images, or weights that cannot use it."""


class Motion(NamedTuple):
    """Between two frames: network translation (its unit), mean speed (m/s), time (s)."""

    translation: float
    speed: float
    dt: float


class SpeedHistory:
    """Speeds of the last seconds by stamp; filled by the executor, read by the worker."""

    #: Odometry may be that much older or newer than the image that it is asked for, seconds.
    SLACK = 0.5

    def __init__(self) -> None:
        self._samples: collections.deque[tuple[int, float]] = collections.deque(maxlen=1000)

    def add(self, stamp_ns: int, speed: float) -> None:
        """Add a speed over ground in m/s; a stamp that jumps back starts anew."""
        if self._samples and stamp_ns < self._samples[-1][0]:
            self._samples.clear()
        self._samples.append((stamp_ns, speed))

    def mean(self, start_ns: int, end_ns: int) -> float:
        """Return the mean speed between two stamps.

        Raises:
            OdometryError: where no odometry has come, or its stamps are far from the images'.
        """
        samples = list(self._samples)
        if not samples:
            raise OdometryError('scale_source is odometry, but neither odom nor twist has come yet')
        stamps = [stamp for stamp, _ in samples]
        slack = int(self.SLACK * 1e9)
        if start_ns < stamps[0] - slack or end_ns > stamps[-1] + slack:
            behind = max((end_ns - stamps[-1]) * 1e-9, (stamps[0] - start_ns) * 1e-9)
            raise OdometryError(
                f'odometry lies {behind:.1f} s beside the image stamps, expected at most '
                f'{self.SLACK} s: is it on another clock?'
            )
        inside = stamps[bisect.bisect_left(stamps, start_ns) : bisect.bisect_right(stamps, end_ns)]
        moments = np.array([start_ns, *inside, end_ns], np.float64) - start_ns
        speeds = np.interp(
            moments, np.array(stamps, np.float64) - start_ns, [speed for _, speed in samples]
        )
        return float(speeds.mean())


class MotionFromPoseNetwork:
    """Feeds three frames in a row to the pose network.

    Args:
        pose_network: `(target, [context, context]) -> (1, 2, 6)`, images in [0, 1].
        speeds: odometry by stamp.
    """

    #: Frames farther apart than this show too little of the same scene, seconds.
    MAX_DT = 0.5

    def __init__(self, pose_network: Any, speeds: SpeedHistory) -> None:
        self._pose_network = pose_network
        self._speeds = speeds
        self._frames: list[tuple[int, np.ndarray]] = []

    def add(
        self, stamp_ns: int, network_image: np.ndarray, magnification: float = 1.0
    ) -> Iterator[Motion]:
        """Take in a network image (h, w, 3) uint8; return the motions it completes, if any.

        Args:
            stamp_ns: of the image.
            network_image: of the same camera as those before it.
            magnification: its focal length over that of the weights: depth is multiplied by it,
                so the motion along the optical axis is as well (`networks.pose.through_lens`).

        Raises:
            OdometryError: where odometry does not cover the frames.
        """
        if self._frames and not 0 < stamp_ns - self._frames[-1][0] <= self.MAX_DT * 1e9:
            self._frames.clear()
        self._frames.append((stamp_ns, network_image.copy()))
        if len(self._frames) < 3:
            return
        stamps = [stamp for stamp, _ in self._frames]
        images = [image for _, image in self._frames]
        # Each pair counts once: the last frame is the first of the next three.
        del self._frames[:2]
        speeds = [self._speeds.mean(*pair) for pair in (stamps[:2], stamps[1:])]
        for translation, speed, dt in zip(
            self._translations(images, magnification), speeds, np.diff(stamps)
        ):
            yield Motion(translation, speed, float(dt) * 1e-9)

    def _translations(self, images: list[np.ndarray], magnification: float) -> list[float]:
        import torch

        from semdepth_ros.networks.pose import through_lens

        first, target, last = (
            torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in images
        )
        with torch.inference_mode():
            poses = self._pose_network(target, [first, last])
            poses = through_lens(poses, torch.tensor([magnification]))
        return torch.linalg.vector_norm(poses[0, :, :3], dim=1).tolist()
