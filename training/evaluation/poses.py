"""Where the camera was: odometry poses at the stamps of the frames, for flicker."""

from __future__ import annotations

import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.topics import ODOMETRY
from semdepth_ros.bags.transforms import pose_matrix

#: Between odometry messages farther apart than this, nobody knows how the camera moved; seconds.
MAX_GAP = 0.25


def camera_poses(drive: Drive) -> list[np.ndarray | None]:
    """Return `T_world_camera`, 4x4, at each frame of a drive; None where it is not known.

    Needs an Odometry topic and, on `/tf_static`, where the camera is on the robot. Poses are
    interpolated between messages: positions linearly, rotations by normalised quaternions.
    """
    found: list[np.ndarray | None] = [None] * len(drive)
    bag = drive.frames.bag
    topic = drive.topics.odometry
    if topic is None or bag.topics[topic].msgtype != ODOMETRY:
        return found
    messages = [message for _, message in bag.messages(topic)]
    if len(messages) < 2:
        return found
    xyz = [(p.x, p.y, p.z) for p in (m.pose.pose.position for m in messages)]
    if not np.ptp(xyz, axis=0).any() and (drive.speed > 0).any():
        # Wheel odometry without poses, only speed.
        return found
    T_base_camera = drive.tree.lookup(messages[0].child_frame_id, drive.frame_id)
    if T_base_camera is None:
        return found
    stamps = np.array([m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages])
    order = np.argsort(stamps, kind='stable')
    stamps = stamps[order]
    poses = [messages[number].pose.pose for number in order]
    for index, stamp in enumerate(drive.stamps):
        after = int(np.clip(np.searchsorted(stamps, stamp), 1, len(stamps) - 1))
        a, b = stamps[after - 1], stamps[after]
        if not a <= stamp <= b or (stamp not in (a, b) and b - a > MAX_GAP * 1e9):
            continue
        share = float(stamp - a) / float(b - a) if b > a else 0.0
        try:
            found[index] = _between(poses[after - 1], poses[after], share) @ T_base_camera
        except BagError:
            # An unusable pose, such as a quaternion of zeros, is an unknown one.
            continue
    return found


def _between(a, b, share: float) -> np.ndarray:
    """Return the 4x4 pose at a share of the way from one Pose message to the next."""
    first, second = a.orientation, b.orientation
    p = np.array([first.x, first.y, first.z, first.w])
    q = np.array([second.x, second.y, second.z, second.w])
    # q and -q are one rotation: take the short way round.
    mixed = (1 - share) * p + share * (q if p @ q >= 0 else -q)
    T = pose_matrix(a.position, type(first)(*mixed))
    T[:3, 3] = (1 - share) * T[:3, 3] + share * np.array([b.position.x, b.position.y, b.position.z])
    return T
