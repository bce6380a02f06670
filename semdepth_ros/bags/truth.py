"""Depth truth for the frames of a drive: a depth image topic, or LiDAR through the transforms."""

from __future__ import annotations

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.frames import Frames
from semdepth_ros.bags.lidar import points_xyz, sparse_depth
from semdepth_ros.bags.reader import Bag
from semdepth_ros.bags.topics import POINT_CLOUD
from semdepth_ros.bags.transforms import TransformTree
from semdepth_ros.camera import Camera
from semdepth_ros.encodings import EncodingError, depth_to_metres
from semdepth_ros.rectification import rectification_maps

#: How far the stamp of the truth may lie from that of the image, ns: half a frame at 10 Hz.
_TOLERANCE_NS = 50_000_000


class Truth:
    """Depth truth on one topic, matched to images by the nearest stamp.

    `source` is the camera of the images as recorded; its frame is `frame_id`. A depth image must be
    aligned with the images, of any size. The motion of the vehicle during a turn of the LiDAR is
    not compensated.

    Raises:
        BagError: if no transform leads from the LiDAR to the camera.
    """

    def __init__(
        self, bag: Bag, topic: str, source: Camera, frame_id: str, tree: TransformTree
    ) -> None:
        self.topic = topic
        self._frames = Frames(bag, topic)
        self._source = source
        self._is_cloud = bag.topics[topic].msgtype == POINT_CLOUD
        self._T_camera_sensor = np.eye(4)
        if self._is_cloud:
            sensor = self._frames.frame_id()
            T = tree.lookup(frame_id, sensor)
            if T is None:
                raise BagError(
                    f'bag {bag.path}: {topic} is in frame {sensor!r}, from which /tf_static leads '
                    f'not to the camera frame {frame_id!r}'
                )
            # The frame of the image after its rectification is turned by R against the lens.
            R = np.eye(4)
            R[:3, :3] = np.reshape(source.rectification, (3, 3))
            self._T_camera_sensor = R @ T

    def nearest(self, stamp_ns: int) -> int | None:
        """Return the index of the truth that belongs to an image, None if none is near enough."""
        stamps = self._frames.stamps
        if not len(stamps):
            return None
        after = min(int(np.searchsorted(stamps, stamp_ns)), len(stamps) - 1)
        index = min((max(after - 1, 0), after), key=lambda k: abs(int(stamps[k]) - stamp_ns))
        return index if abs(int(stamps[index]) - stamp_ns) <= _TOLERANCE_NS else None

    def depth(self, stamp_ns: int, camera: Camera) -> np.ndarray:
        """Return the truth at an image's stamp as `camera` sees it, (H, W) float32 metres.

        NaN where nothing is known, everywhere if no truth is near the stamp. `camera` is a pinhole
        with the view of the rectified image: resized or cropped.

        Raises:
            BagError: if the message cannot be read.
        """
        index = self.nearest(stamp_ns)
        if index is None:
            return np.full((camera.height, camera.width), np.nan, np.float32)
        message = self._frames.bag.message(self.topic, int(self._frames.numbers[index]))
        if self._is_cloud:
            points = points_xyz(message)
            T = self._T_camera_sensor
            return sparse_depth(points @ T[:3, :3].T + T[:3, 3], camera)
        try:
            depth = depth_to_metres(
                message.encoding,
                message.width,
                message.height,
                message.step,
                bool(message.is_bigendian),
                message.data,
            )
        except EncodingError as error:
            raise BagError(f'bag {self._frames.bag.path}: {self.topic}: {error}') from error
        return _sampled(depth, self._source, camera)


def _sampled(depth: np.ndarray, source: Camera, camera: Camera) -> np.ndarray:
    """Return a depth image of `source` as the pinhole `camera` sees it, by the nearest pixel."""
    # Depth may be published smaller than the image that it belongs to.
    source = source.resized(depth.shape[1], depth.shape[0])
    if source.is_distorted:
        # Fixed-point maps: whole pixels, and the fraction in 32nds in the other map.
        whole, fraction = rectification_maps(source, camera)
        columns = whole[..., 0] + ((fraction & 31) >= 16)
        rows = whole[..., 1] + (fraction >> 5 >= 16)
        rows, columns = rows.astype(np.int64), columns.astype(np.int64)
    else:
        u = (np.arange(camera.width) - camera.cx) / camera.fx * source.fx + source.cx
        v = (np.arange(camera.height) - camera.cy) / camera.fy * source.fy + source.cy
        # Between two pixels, as at half the size, the first is meant, whatever rounding does.
        columns, rows = np.meshgrid(np.ceil(u - 0.5 - 1e-6), np.ceil(v - 0.5 - 1e-6))
        rows, columns = rows.astype(np.int64), columns.astype(np.int64)
    inside = (rows >= 0) & (rows < source.height) & (columns >= 0) & (columns < source.width)
    sampled = np.full(rows.shape, np.nan, np.float32)
    values = depth[rows[inside], columns[inside]]
    # No truth has depth 0, whatever a driver writes for "invalid".
    sampled[inside] = np.where(values > 0, values, np.nan)
    return sampled
