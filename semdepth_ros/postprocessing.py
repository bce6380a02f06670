"""From inverse depth to a depth image that keeps REP 117: NaN, +Inf and -Inf mean something."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.classes import SKY

#: Neighbouring depths whose ratio exceeds this belong to two surfaces.
EDGE_RATIO = 1.25


def depth_from_inverse(
    inv_depth_HW: np.ndarray,
    label_HW: np.ndarray,
    factor: float,
    min_depth: float,
    max_depth: float,
) -> np.ndarray:
    """Return depth in metres (float32): +Inf for sky and beyond range, -Inf for too close.

    Args:
        inv_depth_HW: inverse depth of the network, above 0; what is not finite becomes NaN.
        label_HW: train ids; sky is infinitely far, whatever the network says of its depth.
        factor: metres per unit of network depth.
        min_depth: nearest valid depth in metres.
        max_depth: farthest valid depth in metres.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.float32(factor) / inv_depth_HW
        depth[depth > max_depth] = np.inf
        depth[depth < min_depth] = -np.inf
    depth[label_HW == SKY] = np.inf
    return depth


def upsample_inverse_depth(inv_depth_HW: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return inverse depth resized without inventing depth between two surfaces.

    Bilinear within a surface; where the 3x3 neighbourhood of a pixel spans a depth ratio above
    `EDGE_RATIO`, the nearest pixel's value.
    """
    size = (width, height)
    kernel = np.ones((3, 3), np.uint8)
    edges = cv2.dilate(inv_depth_HW, kernel) > EDGE_RATIO * cv2.erode(inv_depth_HW, kernel)
    result = cv2.resize(inv_depth_HW, size, interpolation=cv2.INTER_LINEAR)
    nearest = resize_nearest(inv_depth_HW, width, height)
    cv2.copyTo(nearest, resize_nearest(edges.view(np.uint8), width, height), result)
    return result


def resize_nearest(image_HW: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return labels, masks or depth resized by the nearest pixel centre."""
    return cv2.resize(image_HW, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def depth_edges(inv_depth_HW: np.ndarray, threshold: float) -> np.ndarray:
    """Return where depth breaks, (H, W) uint8 0 or 1: the pixels that fly between two surfaces.

    The inverse depth of a plane is linear in the image, however steeply the plane is seen, so its
    second difference, relative to the value, finds edges and leaves the far road alone. Taken two
    pixels to either side, because networks smear an edge over some pixels.
    """
    kernel = np.array([[1, 0, -2, 0, 1]], np.float32)
    border = cv2.BORDER_REFLECT_101
    horizontal = cv2.filter2D(inv_depth_HW, cv2.CV_32F, kernel, borderType=border)
    vertical = cv2.filter2D(inv_depth_HW, cv2.CV_32F, kernel.T, borderType=border)
    change = np.maximum(np.abs(horizontal), np.abs(vertical))
    return (change > np.float32(threshold) * inv_depth_HW).view(np.uint8)


def to_millimetres(depth_HW: np.ndarray) -> np.ndarray:
    """Return depth as uint16 millimetres (REP 118); 0 for invalid, infinite or beyond 65.535 m."""
    with np.errstate(invalid='ignore'):
        valid = (depth_HW > 0) & (depth_HW <= 65.535)
    return np.where(valid, np.rint(np.where(valid, depth_HW, 0) * 1000), 0).astype(np.uint16)
