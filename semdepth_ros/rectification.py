"""Undistorts images: plumb_bob and rational_polynomial lenses, and equidistant fisheyes."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from semdepth_ros.camera import Camera, CameraError


@functools.lru_cache(maxsize=8)
def rectification_maps(distorted: Camera, rectified: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return the two maps with which `cv2.remap` turns a distorted image into a rectified one.

    Fixed-point maps (int16 and uint16), cached per pair of cameras; the rotation R of the distorted
    camera is applied.
    """
    D = np.array(distorted.distortion, np.float64)
    R = np.array(distorted.rectification, np.float64).reshape(3, 3)
    if distorted.distortion_model == 'equidistant':
        return cv2.fisheye.initUndistortRectifyMap(
            distorted.K, D, R, rectified.K, rectified.size, cv2.CV_16SC2
        )
    return cv2.initUndistortRectifyMap(distorted.K, D, R, rectified.K, rectified.size, cv2.CV_16SC2)


def rectify(image_HW3: np.ndarray, distorted: Camera, rectified: Camera) -> np.ndarray:
    """Return the image as the pinhole camera `rectified` sees it; black where nothing was seen.

    Raises:
        CameraError: when the image does not have the size of its camera.
    """
    if not distorted.is_distorted and distorted.undistorted() == rectified:
        return image_HW3
    height, width = image_HW3.shape[:2]
    if (width, height) != distorted.size:
        # Before maps are made, which take ten bytes a pixel.
        raise CameraError(
            f'image is {width}x{height}, its camera {distorted.width}x{distorted.height}'
        )
    maps = rectification_maps(distorted, rectified)
    return cv2.remap(image_HW3, *maps, interpolation=cv2.INTER_LINEAR)
