"""How fast the camera moved: from Odometry, TwistStamped or a moving transform."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.frames import in_order
from semdepth_ros.bags.messages import stamp_ns
from semdepth_ros.bags.reader import Bag
from semdepth_ros.bags.topics import ODOMETRY, TRANSFORMS
from semdepth_ros.bags.transforms import TransformTree, pose_matrix

#: Measurements further apart than this (and than five usual intervals) are a gap, ns.
_GAP_NS = 500_000_000


@dataclasses.dataclass(frozen=True)
class Motion:
    """Speed of the camera over time: `stamps` (M,) int64 ns, `speeds` (M,) float64 m/s.

    Between measurements speed is linear; in gaps, and further than one usual interval before the
    first and after the last measurement, it is unknown.
    """

    stamps: np.ndarray
    speeds: np.ndarray

    def speed_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the speed at times in ns, float64 m/s, NaN where it is not known."""
        stamps = np.asarray(stamps, np.int64)
        known, _ = self._segment(stamps)
        # Seconds from the first measurement: int64 ns do not fit into float64.
        speeds = np.interp(self._seconds(stamps), self._seconds(self.stamps), self.speeds)
        return np.where(known, speeds, np.nan)

    def distance(self, start: np.ndarray | int, end: np.ndarray | int) -> np.ndarray:
        """Return the metres driven between two times in ns, NaN if a gap lies between them."""
        start, end = np.asarray(start, np.int64), np.asarray(end, np.int64)
        seconds, driven = self._seconds(self.stamps), self._driven
        knows_start, segment_start = self._segment(start)
        knows_end, segment_end = self._segment(end)

        def driven_at(stamps: np.ndarray) -> np.ndarray:
            t = self._seconds(stamps)
            k = np.clip(np.searchsorted(seconds, t, 'right') - 1, 0, len(seconds) - 1)
            speed = np.interp(t, seconds, self.speeds)
            return driven[k] + (t - seconds[k]) * (self.speeds[k] + speed) / 2

        known = knows_start & knows_end & (segment_start == segment_end)
        return np.where(known, np.abs(driven_at(end) - driven_at(start)), np.nan)

    @functools.cached_property
    def _driven(self) -> np.ndarray:
        """Metres from the first measurement to each; gaps count as driven, nobody asks for them."""
        steps = np.diff(self._seconds(self.stamps)) * (self.speeds[1:] + self.speeds[:-1]) / 2
        return np.concatenate([[0.0], np.cumsum(steps)])

    @functools.cached_property
    def _pieces(self) -> tuple[np.ndarray, int]:
        """The number of the gapless piece of each measurement, and the usual interval in ns."""
        intervals = np.diff(self.stamps)
        usual = int(np.median(intervals)) if len(intervals) else _GAP_NS
        is_gap = intervals > max(_GAP_NS, 5 * usual)
        return np.concatenate([[0], np.cumsum(is_gap)]), usual

    def _seconds(self, stamps: np.ndarray) -> np.ndarray:
        return (stamps - self.stamps[0]) * 1e-9

    def _segment(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether times are covered, and the number of the gapless piece they lie in."""
        piece, usual = self._pieces
        margin = min(usual, _GAP_NS)
        after = np.clip(np.searchsorted(self.stamps, stamps), 0, len(self.stamps) - 1)
        before = np.clip(after - 1, 0, None)
        is_between = (self.stamps[before] <= stamps) & (stamps <= self.stamps[after])
        to_before, to_after = abs(stamps - self.stamps[before]), abs(self.stamps[after] - stamps)
        is_covered = (is_between & (piece[before] == piece[after])) | (
            np.minimum(to_before, to_after) <= margin
        )
        return is_covered, piece[np.where(to_after <= to_before, after, before)]


def read_motion(bag: Bag, topic: str, tree: TransformTree, camera_frame: str) -> Motion | None:
    """Return the motion of the camera from a topic, or None if nothing usable is on it.

    Odometry and TwistStamped give the velocity of a frame on the vehicle; where `tree` knows that
    frame, the velocity of the camera follows from it and the turn rate. Odometry whose twist was
    left empty, and transforms, give it by differences of positions.
    """
    msgtype = bag.topics[topic].msgtype
    if msgtype == TRANSFORMS:
        stamps, positions = _moving_frame(bag, topic, tree, camera_frame)
        return _motion(*_by_differences(stamps, positions))
    rows, poses = [], []
    levers: dict[str, np.ndarray] = {}
    for _, message in bag.messages(topic):
        if msgtype == ODOMETRY:
            frame, twist = message.child_frame_id, message.twist.twist
            position = message.pose.pose.position
            poses.append((position.x, position.y, position.z))
        else:
            frame, twist = message.header.frame_id, message.twist
        if frame not in levers:
            T = tree.lookup(frame, camera_frame)
            levers[frame] = np.zeros(3) if T is None else T[:3, 3]
        linear = np.array([twist.linear.x, twist.linear.y, twist.linear.z])
        angular = np.array([twist.angular.x, twist.angular.y, twist.angular.z])
        velocity = linear + np.cross(angular, levers[frame])
        rows.append((stamp_ns(message), float(np.linalg.norm(velocity))))
    stamps = np.array([row[0] for row in rows], np.int64)
    speeds = np.array([row[1] for row in rows], np.float64)
    if poses and not speeds.any():
        return _motion(*_by_differences(stamps, np.array(poses)))
    return _motion(stamps, speeds)


def _motion(stamps: np.ndarray, speeds: np.ndarray) -> Motion | None:
    finite = np.isfinite(speeds)
    stamps, speeds = stamps[finite], speeds[finite]
    kept = in_order(stamps)
    return Motion(stamps[kept], speeds[kept]) if len(kept) >= 2 else None


def _by_differences(stamps: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times and speeds in the middle between positions (M, 3) in metres."""
    kept = in_order(stamps)
    stamps, positions = stamps[kept], positions[kept]
    if len(kept) < 2:
        return np.empty(0, np.int64), np.empty(0)
    intervals = np.diff(stamps)
    speeds = np.linalg.norm(np.diff(positions, axis=0), axis=1) / (intervals * 1e-9)
    return stamps[:-1] + intervals // 2, speeds


def _moving_frame(
    bag: Bag, topic: str, tree: TransformTree, camera_frame: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return times and camera positions from the edge of `/tf` that carries the camera.

    That is the edge whose child carries the camera by static transforms alone (`odom` to
    `base_link`, but not `map` to `odom`, which jumps where localisation corrects itself); of
    several, the one that moves furthest.
    """
    edges: dict[tuple[str, str], tuple[list[int], list[np.ndarray]]] = {}
    for _, message in bag.messages(topic):
        for edge in message.transforms:
            child = edge.child_frame_id.lstrip('/')
            T_child_camera = tree.lookup(child, camera_frame)
            if T_child_camera is None:
                continue
            try:
                T = pose_matrix(edge.transform.translation, edge.transform.rotation)
            except BagError:
                continue
            key = (edge.header.frame_id.lstrip('/'), child)
            stamps, positions = edges.setdefault(key, ([], []))
            stamps.append(stamp_ns(edge))
            positions.append((T @ T_child_camera)[:3, 3])
    if not edges:
        return np.empty(0, np.int64), np.empty((0, 3))
    stamps, positions = max(edges.values(), key=lambda edge: np.ptp(edge[1], axis=0).max())
    return np.array(stamps, np.int64), np.array(positions)
