"""A street drive as a bag: what a robot would have recorded, and the truth beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal

import cv2

from semdepth_ros.bags import messages
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.simulation.drive import StreetDrive, StreetFrame

CAMERA_FRAME = 'camera_color_optical_frame'
_JPEG_QUALITY = 95


def write_street_bag(
    path: str | os.PathLike[str],
    drive: StreetDrive,
    frames: Iterable[int] | None = None,
    storage: Literal['mcap', 'sqlite3'] = 'mcap',
    raw: bool = False,
) -> int:
    """Write frames of a drive (all by default) to a new bag; return how many.

    `/camera/image_rect/compressed` (jpeg; uncompressed without the suffix if `raw`),
    `/camera/camera_info`, `/odom` (pose and twist of base_link), `/tf_static` (base_link to
    camera), `/truth/depth/image_rect` (32FC1), `/truth/depth/camera_info`, `/truth/label_mask`
    (mono8). A distorted camera's images are called `/camera/image_raw`; the truth stays rectified:
    that of the pinhole camera with the same intrinsics.

    Ctrl-C leaves a whole, shorter bag; any error leaves none.

    Raises:
        BagError: if `path` exists or cannot be written.
        SimulationError: if the drive has no such frame.
    """
    camera = drive.config.camera
    rectified = drive.seen_by(camera.undistorted()) if camera.is_distorted else drive
    count = 0
    with BagWriter(path, storage) as bag:
        for index in range(len(drive)) if frames is None else frames:
            frame = drive.frame(index)
            truth = rectified.frame(index) if rectified is not drive else frame
            # Everything is made before anything is written, so that Ctrl-C rarely splits a frame.
            parts = [*_recorded(frame, raw), *_truth(truth)]
            if not count:
                parts.insert(0, ('/tf_static', _mount(drive, frame.stamp_ns)))
            for topic, message in parts:
                bag.write(topic, message, frame.stamp_ns)
            count += 1
    return count


def _recorded(frame: StreetFrame, raw: bool) -> list[tuple[str, Any]]:
    stamp = frame.stamp_ns
    topic = '/camera/image_raw' if frame.camera.is_distorted else '/camera/image_rect'
    if raw:
        image = messages.image(stamp, CAMERA_FRAME, frame.image, 'rgb8')
    else:
        bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        image = messages.compressed_image(stamp, CAMERA_FRAME, jpeg.tobytes(), 'jpeg')
        topic += '/compressed'
    odometry = messages.odometry(
        stamp,
        'odom',
        'base_link',
        frame.T_world_base,
        (frame.speed, 0.0, 0.0),
        (0.0, 0.0, frame.yaw_rate),
    )
    return [
        (topic, image),
        ('/camera/camera_info', messages.camera_info(stamp, CAMERA_FRAME, frame.camera)),
        ('/odom', odometry),
    ]


def _truth(frame: StreetFrame) -> list[tuple[str, Any]]:
    stamp = frame.stamp_ns
    return [
        ('/truth/depth/image_rect', messages.image(stamp, CAMERA_FRAME, frame.depth, '32FC1')),
        ('/truth/depth/camera_info', messages.camera_info(stamp, CAMERA_FRAME, frame.camera)),
        ('/truth/label_mask', messages.image(stamp, CAMERA_FRAME, frame.label, 'mono8')),
    ]


def _mount(drive: StreetDrive, stamp_ns: int) -> Any:
    edge = messages.Transform('base_link', CAMERA_FRAME, drive.T_base_camera)
    return messages.transforms(stamp_ns, [edge])
