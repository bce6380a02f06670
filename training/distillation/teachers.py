"""The teachers: two independent Cityscapes networks, and what both of them say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch

from semdepth_ros.classes import CLASS_NAMES, UNLABELLED
from semdepth_ros.networks.semantic.build import load_semantic_network
from semdepth_ros.postprocessing import resize_nearest


class Teacher(Protocol):
    """Labels an image (H, W, 3) uint8 RGB: (H, W) uint8 train ids."""

    def __call__(self, image_HW3: np.ndarray) -> np.ndarray:
        """Return the label of every pixel."""
        ...


class EspNetTeacher:
    """ESPNetv2 from its Cityscapes checkpoint, run about as large as it was trained.

    Args:
        checkpoint: the `.pth` file.
        width: of the image that it sees, pixels; its height follows, as a multiple of 16.
    """

    def __init__(self, checkpoint: Path, width: int = 1024) -> None:
        self._network, _ = load_semantic_network('espnetv2', checkpoint)
        self._width = width

    @torch.inference_mode()
    def __call__(self, image_HW3: np.ndarray) -> np.ndarray:
        """Return the label of every pixel."""
        height, width = image_HW3.shape[:2]
        rows = max(1, round(height * self._width / width / 16)) * 16
        filter = cv2.INTER_AREA if self._width < width else cv2.INTER_LINEAR
        resized = cv2.resize(image_HW3, (self._width, rows), interpolation=filter)
        x = torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255
        label = self._network(x).logits[0].argmax(0).to(torch.uint8).numpy()
        return resize_nearest(label, width, height)


class TfliteTeacher:
    """A TFLite segmentation network with a square uint8 input and train ids as its answer.

    A wide image is read in square windows that overlap by a quarter, because squeezed into one
    square a street is nothing that the network has seen.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=torch.get_num_threads())
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def __call__(self, image_HW3: np.ndarray) -> np.ndarray:
        """Return the label of every pixel."""
        height, width = image_HW3.shape[:2]
        side = min(height, width)
        windows = max(1, math.ceil((width - side) / (0.75 * side)) + 1)
        starts = np.linspace(0, width - side, windows).round().astype(int)
        label = np.full((height, width), UNLABELLED, np.uint8)
        for index, start in enumerate(starts):
            answer = self._square(image_HW3[:side, start : start + side])
            # Half of an overlap belongs to either window: nothing is seen well at a border.
            left = 0 if index == 0 else (starts[index - 1] + side - start) // 2
            label[:side, start + left : start + side] = answer[:, left:]
        label[label >= len(CLASS_NAMES)] = UNLABELLED
        return label

    def _square(self, image: np.ndarray) -> np.ndarray:
        size = int(self._input['shape'][1])
        filter = cv2.INTER_AREA if size < len(image) else cv2.INTER_LINEAR
        resized = cv2.resize(image, (size, size), interpolation=filter)
        self._interpreter.set_tensor(self._input['index'], resized[None])
        self._interpreter.invoke()
        answer = self._interpreter.get_tensor(self._output['index'])[0].astype(np.uint8)
        return resize_nearest(answer, len(image), len(image))


def agreement(image_HW3: np.ndarray, teachers: list[Teacher]) -> np.ndarray:
    """Return the label on which all teachers agree, `UNLABELLED` where they do not."""
    first, *others = (teacher(image_HW3) for teacher in teachers)
    label = first.copy()
    for other in others:
        label[first != other] = UNLABELLED
    return label
