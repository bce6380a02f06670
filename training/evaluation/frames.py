"""What is compared: a frame with its truth, and the raw depth that somebody says it has."""

from __future__ import annotations

import dataclasses

import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.classes import UNLABELLED
from semdepth_ros.postprocessing import resize_nearest
from semdepth_training.evaluation.metrics import Resize, resize_depth


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationFrame:
    """An image and the true depth of its view.

    Attributes:
        name: what tables and reports call it, such as `kitti_sfnd:12`.
        image_HW3: uint8 RGB, rectified.
        camera: pinhole camera of the image.
        truth_HW: float32 metres along Z, of the same view at any size; NaN or 0 where unknown, +Inf
            where there is sky.
        label_HW: labels at the size of the truth, uint8 train ids; None: ask the prediction.
        label_source: who knows the labels: 'truth' or 'network'.
        T_world_camera: pose of the camera, 4x4; None where unknown, then no flicker is measured.
        drive: frames of one drive follow each other in time.
    """

    name: str
    image_HW3: np.ndarray
    camera: Camera
    truth_HW: np.ndarray
    label_HW: np.ndarray | None = None
    T_world_camera: np.ndarray | None = None
    drive: str = ''
    label_source: str = 'truth'

    @property
    def truth_camera(self) -> Camera:
        """Camera of the truth: that of the image, resized."""
        height, width = self.truth_HW.shape
        return self.camera.resized(width, height)


@dataclasses.dataclass(frozen=True, eq=False)
class RawDepth:
    """Depth as the network gives it: before any filter for sky, range or edges.

    Attributes:
        depth_HW: float32 metres (units where there is no scale) along Z, at any resolution.
        label_HW: uint8 train ids of the same view; None without a semantic network.
        window: rows and columns of the image that `depth_HW` shows, such as `Fit.window`; None for
            the whole image. What lies outside was not predicted, and counts as infinitely far.
    """

    depth_HW: np.ndarray
    label_HW: np.ndarray | None = None
    window: tuple[slice, slice] | None = None

    def fused_with(self, flipped: RawDepth) -> RawDepth:
        """Return this depth after flip post-processing.

        Args:
            flipped: what the network says of the mirrored image, mirrored back; same size.
        """
        with np.errstate(divide='ignore'):
            inv_depth = fuse_flipped(1 / self.depth_HW, 1 / flipped.depth_HW)
            return dataclasses.replace(self, depth_HW=1 / inv_depth)

    def depth_on(self, frame: EvaluationFrame, resize: Resize) -> np.ndarray:
        """Return the depth at the size of the frame's truth, float32; +Inf outside the window."""
        height, width = frame.truth_HW.shape
        rows, columns = self._window_on(frame)
        window = resize_depth(
            self.depth_HW, columns.stop - columns.start, rows.stop - rows.start, resize
        )
        if window.shape == (height, width):
            return window
        depth = np.full((height, width), np.inf, np.float32)
        depth[rows, columns] = window
        return depth

    def label_on(self, frame: EvaluationFrame) -> np.ndarray | None:
        """Return the labels at the size of the frame's truth, uint8; 255 outside the window."""
        if self.label_HW is None:
            return None
        rows, columns = self._window_on(frame)
        label = np.full(frame.truth_HW.shape, UNLABELLED, np.uint8)
        label[rows, columns] = resize_nearest(
            self.label_HW, columns.stop - columns.start, rows.stop - rows.start
        )
        return label

    def _window_on(self, frame: EvaluationFrame) -> tuple[slice, slice]:
        height, width = frame.truth_HW.shape
        if self.window is None:
            return slice(0, height), slice(0, width)
        rows, columns = self.window
        sy, sx = height / frame.camera.height, width / frame.camera.width
        return (
            slice(round(rows.start * sy), round(rows.stop * sy)),
            slice(round(columns.start * sx), round(columns.stop * sx)),
        )


def with_labels(frame: EvaluationFrame, raw: RawDepth) -> EvaluationFrame:
    """Return the frame with labels: its own, else those of the prediction, where it has any."""
    label = raw.label_on(frame) if frame.label_HW is None else None
    if label is None or (label == UNLABELLED).all():
        return frame
    return dataclasses.replace(frame, label_HW=label, label_source='network')


def fuse_flipped(inv_depth_hw: np.ndarray, flipped_inv_depth_hw: np.ndarray) -> np.ndarray:
    """Return the flip post-processing of the published evaluations, float32.

    The mean of the prediction and of that for the mirrored image (mirrored back), except at the
    sides: the left 5 % come from the mirrored one and the right 5 % from the plain one, with a ramp
    of another 5 %, because a network sees a new object at the border late.

    Args:
        inv_depth_hw: inverse depth of the image.
        flipped_inv_depth_hw: inverse depth of the mirrored image, already mirrored back.
    """
    x = np.linspace(0, 1, inv_depth_hw.shape[1], dtype=np.float32)
    left = 1 - np.clip(20 * (x - 0.05), 0, 1)
    right = left[::-1]
    mean = 0.5 * (inv_depth_hw + flipped_inv_depth_hw)
    return left * flipped_inv_depth_hw + right * inv_depth_hw + (1 - left - right) * mean
