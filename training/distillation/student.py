"""Trains the student on labelled images: crops, scales, mirrors, colours, and no colour at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semdepth_ros.classes import CLASS_NAMES, UNLABELLED
from semdepth_ros.networks.semantic.output import SemanticNetwork


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """An image and its labels; `UNLABELLED` pixels teach nothing.

    Attributes:
        image_HW3: uint8 RGB.
        label_HW: uint8 train ids.
    """

    image_HW3: np.ndarray
    label_HW: np.ndarray


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """How the student is trained.

    Attributes:
        steps: optimiser steps.
        batch: crops per step.
        crop_width: width of a crop, pixels, a multiple of 32.
        crop_height: height of a crop, pixels, a multiple of 32.
        learning_rate: of Adam at the start; falls to 0 along a cosine.
        min_scale: smallest random resize of an image before it is cropped.
        max_scale: largest.
        gray: share of crops without colour, for gray cameras.
        seed: of everything random.
    """

    steps: int = 1500
    batch: int = 6
    crop_width: int = 320
    crop_height: int = 160
    learning_rate: float = 1e-3
    min_scale: float = 0.8
    max_scale: float = 1.6
    gray: float = 0.25
    seed: int = 0


def train_student(
    network: SemanticNetwork,
    images: Sequence[LabelledImage],
    config: DistillationConfig,
    log: Callable[[int, float], None],
) -> None:
    """Train `network` in place; `log(step, loss)` is called after every step."""
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    weights = torch.from_numpy(class_weights(images))
    network.train()
    for step in range(config.steps):
        crops = [
            random_crop(images[index], config, rng)
            for index in rng.integers(0, len(images), config.batch)
        ]
        x = torch.from_numpy(np.stack([image for image, _ in crops])).permute(0, 3, 1, 2)
        y = torch.from_numpy(np.stack([label for _, label in crops])).long()
        loss = label_loss(network(x.float() / 255).logits, y, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        log(step, float(loss.detach()))
    network.eval()


def label_loss(logits_BCHW: Tensor, label_BHW: Tensor, class_weights_C: Tensor) -> Tensor:
    """Return the weighted cross entropy over labelled pixels; 0 where there are none."""
    loss = F.cross_entropy(
        logits_BCHW, label_BHW, class_weights_C, ignore_index=UNLABELLED, reduction='sum'
    )
    return loss / (label_BHW != UNLABELLED).sum().clamp(min=1)


def class_weights(images: Sequence[LabelledImage]) -> np.ndarray:
    """Return one weight per class, float32, larger for rare classes, 1 on average over pixels."""
    counts = np.zeros(256, np.float64)
    for item in images:
        counts += np.bincount(item.label_HW.reshape(-1), minlength=256)
    share = counts[: len(CLASS_NAMES)] / max(1.0, counts[: len(CLASS_NAMES)].sum())
    weights = 1 / np.sqrt(share + 1e-3)
    mean = float((weights * share).sum()) or 1.0
    return (weights / mean).astype(np.float32)


def random_crop(
    item: LabelledImage, config: DistillationConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop of an image, resized, mirrored and recoloured at random, and its labels."""
    height, width = item.label_HW.shape
    crop_height, crop_width = config.crop_height, config.crop_width
    scale = rng.uniform(config.min_scale, config.max_scale)
    scale = max(scale, crop_height / height, crop_width / width)
    # The window in the source that becomes the crop: nothing outside it is resized.
    h, w = min(height, round(crop_height / scale)), min(width, round(crop_width / scale))
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    window = slice(y, y + h), slice(x, x + w)
    size = (crop_width, crop_height)
    filter = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = cv2.resize(item.image_HW3[window], size, interpolation=filter)
    label = cv2.resize(item.label_HW[window], size, interpolation=cv2.INTER_NEAREST_EXACT)
    if rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    pixels = image.astype(np.float32)
    if rng.random() < config.gray:
        pixels = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    else:
        pixels *= rng.uniform(0.85, 1.15, 3).astype(np.float32)
    pixels = (pixels - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-30, 30)
    return np.clip(pixels, 0, 255).astype(np.uint8), np.ascontiguousarray(label)


@torch.inference_mode()
def intersection_over_union(
    network: SemanticNetwork, images: Sequence[LabelledImage]
) -> np.ndarray:
    """Return the intersection over union of each class, (19,) float64; NaN for absent classes."""
    count = len(CLASS_NAMES)
    confusion = np.zeros((count, count), np.int64)
    network.eval()
    for item in images:
        x = torch.from_numpy(item.image_HW3).permute(2, 0, 1)[None].float() / 255
        answer = network(x).logits[0].argmax(0).numpy()
        known = item.label_HW != UNLABELLED
        pairs = item.label_HW[known].astype(np.int64) * count + answer[known]
        confusion += np.bincount(pairs, minlength=count * count).reshape(count, count)
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hits
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(confusion.sum(1) > 0, hits / union, np.nan)
