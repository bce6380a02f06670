"""From inverse depth to a depth image that keeps REP 117: NaN, +Inf and -Inf mean something."""

from __future__ import annotations

import cv2
import numpy as np

from semdepth_ros.classes import SKY

try:
    from semdepth_ros import kernels
except (ImportError, RuntimeError):  # no extra `fast`, or no folder for what it compiles
    kernels = None  # type: ignore[assignment]

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
    factor, nearest, farthest = np.float32(factor), np.float32(min_depth), np.float32(max_depth)
    if kernels is not None:
        inv_depth_HW, label_HW = map(np.ascontiguousarray, (inv_depth_HW, label_HW))
        depth = np.empty_like(inv_depth_HW)
        kernels.depth_from_inverse(inv_depth_HW, label_HW, factor, nearest, farthest, SKY, depth)
        return depth
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = factor / inv_depth_HW
        np.copyto(depth, np.inf, where=depth > farthest)
        np.copyto(depth, -np.inf, where=depth < nearest)
    np.copyto(depth, np.inf, where=label_HW == SKY)
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
    limit = np.float32(threshold)
    if kernels is not None and min(inv_depth_HW.shape) >= 5:
        edges = np.empty(inv_depth_HW.shape, np.uint8)
        kernels.depth_edges(np.ascontiguousarray(inv_depth_HW), limit, edges)
        return edges
    padded = cv2.copyMakeBorder(inv_depth_HW, 2, 2, 2, 2, cv2.BORDER_REFLECT_101)
    twice, limit = 2 * inv_depth_HW, limit * inv_depth_HW
    with np.errstate(invalid='ignore'):
        vertical = np.abs(padded[:-4, 2:-2] + padded[4:, 2:-2] - twice) > limit
        horizontal = np.abs(padded[2:-2, :-4] + padded[2:-2, 4:] - twice) > limit
    return (horizontal | vertical).view(np.uint8)


def to_millimetres(depth_HW: np.ndarray) -> np.ndarray:
    """Return depth as uint16 millimetres (REP 118); 0 for invalid, infinite or beyond 65.535 m."""
    with np.errstate(invalid='ignore'):
        valid = (depth_HW > 0) & (depth_HW <= 65.535)
    return np.where(valid, np.rint(np.where(valid, depth_HW, 0) * 1000), 0).astype(np.uint16)
