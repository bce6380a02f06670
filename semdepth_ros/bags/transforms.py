"""The static transforms of a recording: where the camera, the LiDAR and the ground are."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.messages import Transform
from semdepth_ros.bags.reader import Bag
from semdepth_ros.bags.topics import TRANSFORMS

#: Frames whose origin is taken to lie on the ground, the best first.
GROUND_FRAMES = ('base_footprint', 'base_link')
#: Heights that a camera on a vehicle or a robot can have, metres.
PLAUSIBLE_HEIGHT = (0.05, 10.0)


def pose_matrix(translation: Any, rotation: Any) -> np.ndarray:
    """Return the 4x4 matrix of a Vector3 or Point and a Quaternion message.

    Raises:
        BagError: for a quaternion of length zero or values that are not finite.
    """
    q = np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64)
    t = np.array([translation.x, translation.y, translation.z], np.float64)
    norm = np.linalg.norm(q)
    if not np.isfinite(t).all() or not np.isfinite(norm) or norm < 1e-6:
        raise BagError(f'transform with translation {t.tolist()} and rotation {q.tolist()}')
    x, y, z, w = q / norm
    T = np.eye(4)
    T[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    T[:3, 3] = t
    return T


class TransformTree:
    """The frames of `/tf_static`, joined."""

    def __init__(self) -> None:
        self._neighbours: dict[str, dict[str, np.ndarray]] = {}
        #: The edges as they were recorded.
        self.edges: dict[str, Transform] = {}

    @classmethod
    def of_bag(cls, bag: Bag) -> TransformTree:
        """Return the static transforms of a bag; an empty tree if it has none."""
        tree = cls()
        for topic in bag.of_type(TRANSFORMS):
            if topic.name.rsplit('/', 1)[-1] != 'tf_static':
                continue
            for _, message in bag.messages(topic.name):
                for edge in message.transforms:
                    try:
                        T = pose_matrix(edge.transform.translation, edge.transform.rotation)
                    except BagError as error:
                        bag.problems.append(f'{topic.name} to {edge.child_frame_id}: {error}')
                        continue
                    tree.add(edge.header.frame_id, edge.child_frame_id, T)
        return tree

    def add(self, parent: str, child: str, T_parent_child: np.ndarray) -> None:
        """Add or replace an edge; ROS 1 may write frames with a leading slash."""
        parent, child = parent.lstrip('/'), child.lstrip('/')
        self.edges[child] = Transform(parent, child, T_parent_child)
        self._neighbours.setdefault(parent, {})[child] = T_parent_child
        self._neighbours.setdefault(child, {})[parent] = np.linalg.inv(T_parent_child)

    def lookup(self, target: str, source: str) -> np.ndarray | None:
        """Return `T_target_source`, 4x4, or None if nothing joins the two frames."""
        target, source = target.lstrip('/'), source.lstrip('/')
        found = {target: np.eye(4)}
        queue = deque([target])
        while queue:
            frame = queue.popleft()
            if frame == source:
                return found[frame]
            for neighbour, T in self._neighbours.get(frame, {}).items():
                if neighbour not in found:
                    found[neighbour] = found[frame] @ T
                    queue.append(neighbour)
        return None

    def height(self, frame: str) -> float | None:
        """Return how far a camera frame is above the ground frame, metres; None if not known."""
        for ground in GROUND_FRAMES:
            T = self.lookup(ground, frame)
            if T is not None and PLAUSIBLE_HEIGHT[0] <= T[2, 3] <= PLAUSIBLE_HEIGHT[1]:
                return float(T[2, 3])
        return None
