"""ROS 2 messages without ROS: builders that return the message types of the rosbags library.

Stamps are nanoseconds since the epoch, poses 4x4 matrices `T_parent_child`, lengths metres.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from semdepth_ros.bags.errors import BagError
from semdepth_ros.camera import Camera

#: sensor_msgs/PointField datatypes by numpy kind and width.
_POINT_FIELD_TYPES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}

#: Bytes per pixel of the encodings that this package writes.
_IMAGE_DTYPES: dict[str, tuple[str, int]] = {
    'rgb8': ('u1', 3),
    'bgr8': ('u1', 3),
    'rgba8': ('u1', 4),
    'bgra8': ('u1', 4),
    'mono8': ('u1', 1),
    'mono16': ('u2', 1),
    '16UC1': ('u2', 1),
    '32FC1': ('f4', 1),
}


class Transform(NamedTuple):
    """One edge of the transform tree: `T_parent_child` maps points of the child to the parent."""

    parent: str
    child: str
    T_parent_child: np.ndarray


@functools.cache
def typestore() -> Typestore:
    """Return the ROS 2 message types: the common interfaces, tf2_msgs and vision_msgs/LabelInfo."""
    store = get_typestore(Stores.ROS2_JAZZY)
    vision_class = get_types_from_msg(
        'uint16 class_id\nstring class_name\n', 'vision_msgs/msg/VisionClass'
    )
    label_info = get_types_from_msg(
        'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n',
        'vision_msgs/msg/LabelInfo',
    )
    store.register({**vision_class, **label_info})
    return store


@functools.cache
def ros1_typestore() -> Typestore:
    """Return the ROS 1 message types: the common messages and tf2_msgs."""
    store = get_typestore(Stores.ROS1_NOETIC)
    definition = 'geometry_msgs/TransformStamped[] transforms\n'
    store.register(get_types_from_msg(definition, 'tf2_msgs/msg/TFMessage'))
    return store


def _make(name: str, *fields: Any) -> Any:
    return typestore().types[name](*fields)


def header(stamp_ns: int, frame_id: str) -> Any:
    """Return a std_msgs/Header."""
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    time = _make('builtin_interfaces/msg/Time', sec, nanosec)
    return _make('std_msgs/msg/Header', time, frame_id)


def stamp_ns(message: Any) -> int:
    """Return the header stamp of a message of ROS 1 or 2 in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def image(stamp_ns: int, frame_id: str, array: np.ndarray, encoding: str) -> Any:
    """Return a sensor_msgs/Image of an (H, W) or (H, W, C) array.

    Raises:
        BagError: if dtype or channels of the array do not fit the encoding.
    """
    if encoding not in _IMAGE_DTYPES:
        raise BagError(
            f'image encoding {encoding!r} is not written, expected one of '
            + ', '.join(_IMAGE_DTYPES)
        )
    dtype, channels = _IMAGE_DTYPES[encoding]
    shape = array.shape if array.ndim == 3 else (*array.shape, 1)
    if array.ndim not in (2, 3) or shape[2] != channels or array.dtype != np.dtype(dtype):
        raise BagError(
            f'image array {array.shape} {array.dtype} does not fit {encoding}, '
            f'expected (H, W{f", {channels}" if channels > 1 else ""}) {np.dtype(dtype)}'
        )
    height, width, _ = shape
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    step = width * channels * array.dtype.itemsize
    return _make(
        'sensor_msgs/msg/Image',
        header(stamp_ns, frame_id),
        height,
        width,
        encoding,
        int(array.dtype.byteorder == '>'),
        step,
        data,
    )


def compressed_image(
    stamp_ns: int, frame_id: str, data: bytes | np.ndarray, format: str = 'jpeg'
) -> Any:
    """Return a sensor_msgs/CompressedImage of encoded bytes."""
    encoded = np.frombuffer(data, np.uint8)
    return _make('sensor_msgs/msg/CompressedImage', header(stamp_ns, frame_id), format, encoded)


def camera_info(stamp_ns: int, frame_id: str, camera: Camera) -> Any:
    """Return the sensor_msgs/CameraInfo of a camera.

    P holds K: after rectification this package keeps the intrinsics. A camera without distortion
    gets five zero coefficients of `plumb_bob`, as camera drivers write them.
    """
    K = camera.K
    P = np.hstack([K, np.zeros((3, 1))])
    roi = _make('sensor_msgs/msg/RegionOfInterest', 0, 0, 0, 0, False)
    return _make(
        'sensor_msgs/msg/CameraInfo',
        header(stamp_ns, frame_id),
        camera.height,
        camera.width,
        camera.distortion_model,
        np.array(camera.distortion or (0.0,) * 5, np.float64),
        K.reshape(-1),
        np.array(camera.rectification, np.float64),
        P.reshape(-1),
        0,
        0,
        roi,
    )


def point_cloud(stamp_ns: int, frame_id: str, points: np.ndarray, is_dense: bool = False) -> Any:
    """Return a sensor_msgs/PointCloud2 of a structured array, (H, W) organised or (N,).

    The fields of the message are those of the dtype: names, types, offsets and item size, so an
    array with padding between its fields is written as it lies in memory.

    Raises:
        BagError: for an array without named fields or with a type that PointField lacks.
    """
    names = points.dtype.names
    if names is None:
        raise BagError(f'point cloud array has dtype {points.dtype}, expected named fields')
    fields = []
    for name in names:
        dtype, offset = points.dtype.fields[name][:2]  # type: ignore[index]
        code = _POINT_FIELD_TYPES.get(dtype.str[1:])
        if code is None or dtype.str[0] == '>':
            raise BagError(f'point cloud field {name!r} is {dtype}, which PointField cannot hold')
        fields.append(_make('sensor_msgs/msg/PointField', name, offset, code, 1))
    height, width = points.shape if points.ndim == 2 else (1, points.size)
    step = points.dtype.itemsize
    data = np.ascontiguousarray(points).reshape(-1).view(np.uint8)
    return _make(
        'sensor_msgs/msg/PointCloud2',
        header(stamp_ns, frame_id),
        height,
        width,
        fields,
        False,
        step,
        step * width,
        data,
        is_dense,
    )


def odometry(
    stamp_ns: int,
    frame_id: str,
    child_frame_id: str,
    T_frame_child: np.ndarray,
    linear: Iterable[float],
    angular: Iterable[float] = (0.0, 0.0, 0.0),
) -> Any:
    """Return a nav_msgs/Odometry; `linear` (m/s) and `angular` (rad/s) are in the child frame."""
    point = _make('geometry_msgs/msg/Point', *map(float, T_frame_child[:3, 3]))
    pose = _make('geometry_msgs/msg/Pose', point, _quaternion(T_frame_child))
    unknown = np.zeros(36)
    return _make(
        'nav_msgs/msg/Odometry',
        header(stamp_ns, frame_id),
        child_frame_id,
        _make('geometry_msgs/msg/PoseWithCovariance', pose, unknown),
        _make('geometry_msgs/msg/TwistWithCovariance', _twist(linear, angular), unknown),
    )


def twist_stamped(
    stamp_ns: int,
    frame_id: str,
    linear: Iterable[float],
    angular: Iterable[float] = (0.0, 0.0, 0.0),
) -> Any:
    """Return a geometry_msgs/TwistStamped (m/s, rad/s)."""
    return _make(
        'geometry_msgs/msg/TwistStamped', header(stamp_ns, frame_id), _twist(linear, angular)
    )


def transforms(stamp_ns: int, edges: Iterable[Transform]) -> Any:
    """Return a tf2_msgs/TFMessage; written to `/tf_static` it is latched."""
    stamped = []
    for parent, child, T in edges:
        vector = _make('geometry_msgs/msg/Vector3', *map(float, T[:3, 3]))
        transform = _make('geometry_msgs/msg/Transform', vector, _quaternion(T))
        stamped.append(
            _make('geometry_msgs/msg/TransformStamped', header(stamp_ns, parent), child, transform)
        )
    return _make('tf2_msgs/msg/TFMessage', stamped)


def label_info(stamp_ns: int, frame_id: str, names: Mapping[int, str]) -> Any:
    """Return a vision_msgs/LabelInfo: class id to class name, threshold 0."""
    classes = [_make('vision_msgs/msg/VisionClass', id, name) for id, name in names.items()]
    return _make('vision_msgs/msg/LabelInfo', header(stamp_ns, frame_id), classes, 0.0)


def _twist(linear: Iterable[float], angular: Iterable[float]) -> Any:
    return _make(
        'geometry_msgs/msg/Twist',
        _make('geometry_msgs/msg/Vector3', *map(float, linear)),
        _make('geometry_msgs/msg/Vector3', *map(float, angular)),
    )


def _quaternion(T: np.ndarray) -> Any:
    """Return the unit quaternion of a rotation, built from its largest component."""
    R = np.asarray(T, np.float64)[:3, :3]
    trace = np.trace(R)
    squares = np.array([*(1 + 2 * np.diag(R) - trace), 1 + trace])
    k = int(np.argmax(squares))
    q = np.empty(4)
    if k == 3:
        q[:] = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], squares[3]
    else:
        i, j = (k + 1) % 3, (k + 2) % 3
        q[k], q[i], q[j] = squares[k], R[i, k] + R[k, i], R[j, k] + R[k, j]
        q[3] = R[j, i] - R[i, j]
    q /= np.linalg.norm(q)
    return _make('geometry_msgs/msg/Quaternion', *map(float, q))
