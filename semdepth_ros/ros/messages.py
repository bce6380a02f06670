"""Arrays to messages and back, without a copy more than needed.

A `uint8[]` field of a fresh rclpy message is an `array.array('B')`; `frombytes` fills it at the
speed of memcpy, while assigning to it checks every element.
"""

from __future__ import annotations

import sys

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from semdepth_ros.camera import Camera
from semdepth_ros.encodings import decode_compressed, image_to_rgb

_POINT_FIELD_TYPES = {
    np.dtype(np.int8): PointField.INT8,
    np.dtype(np.uint8): PointField.UINT8,
    np.dtype(np.int16): PointField.INT16,
    np.dtype(np.uint16): PointField.UINT16,
    np.dtype(np.int32): PointField.INT32,
    np.dtype(np.uint32): PointField.UINT32,
    np.dtype(np.float32): PointField.FLOAT32,
    np.dtype(np.float64): PointField.FLOAT64,
}


def message_to_rgb(message: Image | CompressedImage) -> np.ndarray:
    """Return the picture of a raw or compressed image message, HxWx3 uint8 RGB.

    Raises:
        EncodingError: where the encoding is unknown or the bytes do not fit it.
    """
    data = np.frombuffer(message.data, np.uint8)
    if isinstance(message, CompressedImage):
        return decode_compressed(message.format, data)
    return image_to_rgb(
        message.encoding, message.width, message.height, message.step, message.is_bigendian, data
    )


def image_message(header: Header, encoding: str, image: np.ndarray) -> Image:
    """Return an Image of an (H, W) or (H, W, C) array whose bytes are what `encoding` says."""
    image = np.ascontiguousarray(image)
    message = Image(header=header, encoding=encoding)
    message.height, message.width = image.shape[:2]
    message.step = image.strides[0]
    message.is_bigendian = sys.byteorder == 'big'
    message.data.frombytes(image.data.cast('B'))
    return message


def camera_info_message(header: Header, camera: Camera) -> CameraInfo:
    """Return the CameraInfo of a rectified image: K and P say the same, D is zero."""
    message = CameraInfo(header=header, width=camera.width, height=camera.height)
    message.distortion_model = 'plumb_bob'
    message.d = [0.0] * 5
    message.k = camera.K.reshape(-1).tolist()
    message.r = np.eye(3).reshape(-1).tolist()
    message.p = np.hstack([camera.K, np.zeros((3, 1))]).reshape(-1).tolist()
    return message


def points_message(header: Header, points_HW: np.ndarray) -> PointCloud2:
    """Return the organised cloud of an (H, W) structured array; its fields become PointFields."""
    points_HW = np.ascontiguousarray(points_HW)
    message = PointCloud2(header=header, is_dense=False)
    message.height, message.width = points_HW.shape
    assert points_HW.dtype.fields is not None
    message.fields = [
        PointField(name=name, offset=offset, datatype=_POINT_FIELD_TYPES[dtype], count=1)
        for name, (dtype, offset, *_) in points_HW.dtype.fields.items()
    ]
    message.point_step = points_HW.dtype.itemsize
    message.row_step = points_HW.strides[0]
    message.is_bigendian = sys.byteorder == 'big'
    message.data.frombytes(points_HW.view(np.uint8).data.cast('B'))
    return message
