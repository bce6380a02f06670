"""The path of a frame: image to network input, prediction to depth image, labels and cloud.

The node and `semdepth infer` take the same path, so the same frame gives the same bits.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.classes import UNLABELLED
from semdepth_ros.coloring import color_depth, color_labels
from semdepth_ros.engines.engine import Prediction
from semdepth_ros.errors import SemdepthError
from semdepth_ros.pointcloud import organised_cloud
from semdepth_ros.postprocessing import (
    depth_edges,
    depth_from_inverse,
    resize_nearest,
    upsample_inverse_depth,
)
from semdepth_ros.preprocessing import Fit, fit
from semdepth_ros.rectification import rectify

OUTPUT_SIZES = ('network', 'image')


class SettingsError(SemdepthError):
    """An output setting outside its range."""


@dataclasses.dataclass(frozen=True)
class OutputSettings:
    """What the outputs of a frame look like.

    Attributes:
        output_size: 'network' (what the network sees, less padding) or 'image' (the rectified
            image; NaN and unlabelled where the network does not see).
        stride: every n-th pixel of every output, at least 1.
        min_depth: nearest valid depth, metres; nearer is -Inf.
        max_depth: farthest valid depth, metres; farther is +Inf.
        edge_threshold: relative second difference of inverse depth above which a point is left out
            of the cloud as flying between two surfaces; 0 keeps every point.
    """

    output_size: str = 'network'
    stride: int = 1
    min_depth: float = 0.5
    max_depth: float = 80.0
    edge_threshold: float = 0.1

    def __post_init__(self) -> None:
        if self.output_size not in OUTPUT_SIZES:
            raise SettingsError(
                f'output_size is {self.output_size!r}, expected one of {", ".join(OUTPUT_SIZES)}'
            )
        if self.stride < 1:
            raise SettingsError(f'stride is {self.stride}, expected at least 1')
        if not 0 < self.min_depth < self.max_depth:
            raise SettingsError(
                f'min_depth {self.min_depth} and max_depth {self.max_depth}: '
                'expected 0 < min_depth < max_depth'
            )
        if not (math.isfinite(self.edge_threshold) and self.edge_threshold >= 0):
            raise SettingsError(f'edge_threshold is {self.edge_threshold}, expected at least 0')


@dataclasses.dataclass(frozen=True)
class PreparedFrame:
    """A frame on its way into the network.

    Attributes:
        image_HW3: the rectified image, uint8 RGB.
        network_image: the network's input (h, w, 3), uint8 RGB.
        fit: how one became the other.
    """

    image_HW3: np.ndarray
    network_image: np.ndarray
    fit: Fit


@dataclasses.dataclass(frozen=True)
class FrameResult:
    """What is published of a frame; every array has the size of `camera`.

    Attributes:
        depth_HW: float32 metres along Z; NaN invalid, +Inf sky or beyond range, -Inf too close.
        label_HW: uint8 train ids, 255 unlabelled.
        confidence_HW: uint8, 255 is certain.
        image_HW3: uint8 RGB, the rectified image at this size.
        camera: intrinsics of these images.
        edges_HW: uint8, non-zero where depth breaks; None if no point is to be left out.
    """

    depth_HW: np.ndarray
    label_HW: np.ndarray
    confidence_HW: np.ndarray
    image_HW3: np.ndarray
    camera: Camera
    edges_HW: np.ndarray | None

    def points(self, out: np.ndarray | None = None) -> np.ndarray:
        """Return the organised cloud, (H, W) of `pointcloud.POINT_DTYPE`.

        Args:
            out: a cloud that is no longer needed, to write to; see `organised_cloud`.
        """
        return organised_cloud(
            self.depth_HW, self.camera, self.image_HW3, self.label_HW, self.edges_HW, out
        )

    def depth_color(self) -> np.ndarray:
        """Return the depth as a picture, (H, W, 3) uint8 RGB."""
        return color_depth(self.depth_HW)

    def label_color(self) -> np.ndarray:
        """Return the labels as a picture, (H, W, 3) uint8 RGB."""
        return color_labels(self.label_HW)


class FramePipeline:
    """Everything between the image and the outputs but the network itself.

    Args:
        width: width of the network's input.
        height: height of the network's input.
        focal_length: fx in network pixels of the camera that the weights were trained with. Depth
            is multiplied by fx / focal_length, because the network sees sizes, not distances.
        fit_mode: 'crop', 'pad' or 'native', see `preprocessing.fit`.
        settings: of the outputs.
    """

    def __init__(
        self,
        width: int,
        height: int,
        focal_length: float,
        fit_mode: str = 'crop',
        settings: OutputSettings | None = None,
    ) -> None:
        self.settings = settings or OutputSettings()
        self._focal_length = focal_length
        self._fit = functools.partial(fit, width=width, height=height, mode=fit_mode)

    def prepare(
        self, image_HW3: np.ndarray, camera: Camera, rectified: Camera | None = None
    ) -> PreparedFrame:
        """Rectify an image and make the network's input of it.

        Args:
            image_HW3: uint8 RGB of the size of `camera`.
            camera: camera of the image as it is, distorted or not.
            rectified: the pinhole camera to rectify to; by default with the same intrinsics.
        """
        target = rectified or camera.undistorted()
        # The fit checks the size of the image against this camera's.
        fitted = self._fit(target)
        if camera != target:
            image_HW3 = rectify(image_HW3, camera, target)
        return PreparedFrame(image_HW3, fitted.apply(image_HW3), fitted)

    def network_depth(
        self, prepared: PreparedFrame, prediction: Prediction, index: int = 0
    ) -> tuple[np.ndarray, np.ndarray, Camera]:
        """Return unscaled depth and labels where the network saw the image, and their camera.

        The input of the scale sources: float32 depth (h, w) times fx / focal_length, uint8 labels.
        """
        fitted = prepared.fit
        inner = fitted.inner
        with np.errstate(divide='ignore', invalid='ignore'):
            depth = np.float32(self.magnification(fitted)) / prediction.inv_depth_BHW[index][inner]
        return depth, prediction.label_BHW[index][inner], fitted.inner_camera

    def finish(
        self,
        prepared: PreparedFrame,
        prediction: Prediction,
        index: int = 0,
        factor: float = 1.0,
    ) -> FrameResult:
        """Return the outputs of image `index` of a prediction.

        Args:
            prepared: the frame that the prediction was made of.
            prediction: what the engine answered for the batch.
            index: place of the frame in the batch.
            factor: metres per unit of network depth, see `scale`.
        """
        settings, fitted = self.settings, prepared.fit
        inner = fitted.inner
        inv_depth = np.ascontiguousarray(prediction.inv_depth_BHW[index][inner])
        # The engine may write to its labels again; depth is computed into an array of its own.
        label = prediction.label_BHW[index][inner].copy()
        confidence = prediction.confidence_BHW[index][inner].copy()
        edges = None
        if settings.edge_threshold > 0:
            edges = depth_edges(inv_depth, settings.edge_threshold)
        image, camera = prepared.network_image[inner], fitted.inner_camera
        if settings.output_size == 'image':
            image, camera = prepared.image_HW3, fitted.source
            inv_depth = _to_image(inv_depth, fitted, np.nan, upsample_inverse_depth)
            label = _to_image(label, fitted, UNLABELLED, resize_nearest)
            confidence = _to_image(confidence, fitted, 0, resize_nearest)
            if edges is not None:
                edges = _to_image(edges, fitted, 0, resize_nearest)
        if settings.stride > 1:
            camera = camera.decimated(settings.stride)
            step = slice(None, None, settings.stride)
            inv_depth, label, confidence, image = (
                np.ascontiguousarray(array[step, step])
                for array in (inv_depth, label, confidence, image)
            )
            edges = None if edges is None else np.ascontiguousarray(edges[step, step])
        depth = depth_from_inverse(
            inv_depth,
            label,
            factor * self.magnification(fitted),
            settings.min_depth,
            settings.max_depth,
        )
        return FrameResult(depth, label, confidence, image, camera, edges)

    def magnification(self, fitted: Fit) -> float:
        """Return how much larger things look than to the camera that the weights belong to."""
        return fitted.camera.fx / self._focal_length


def _to_image(array_hw: np.ndarray, fitted: Fit, fill: float, resize) -> np.ndarray:
    window = resize(array_hw, fitted.width, fitted.height)
    if (fitted.width, fitted.height) == fitted.source.size:
        return window
    full = np.full((fitted.source.height, fitted.source.width), fill, array_hw.dtype)
    full[fitted.window] = window
    return full
