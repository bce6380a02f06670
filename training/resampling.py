"""Which frames stage two leaves out: those whose stage-one depth shows holes in the ground.

A car that drives at the camera's own speed stands still in the image, as something infinitely far
does, and a depth network trained on it digs a hole into the road. So each training frame's
predicted depth is lifted to points, the ground plane is fitted to all of them by RANSAC, and a
frame with more than a few pixels far below that plane is dropped (docs/method.md, section 6).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning.fabric import Fabric

from semdepth_ros.camera import Camera
from semdepth_ros.errors import SemdepthError
from semdepth_ros.files import write_atomically
from semdepth_ros.ground_plane import fit_ground_plane
from semdepth_training.device import reduce
from semdepth_training.objective import Objective
from semdepth_training.pictures import color_inv_depth
from semdepth_training.triplets import Triplets

#: The image size, in pixels, that `max_below_ground` is stated for.
REFERENCE_AREA = 640 * 192


class ResamplingError(SemdepthError):
    """A stage one whose depth cannot say which frames to drop."""


@dataclasses.dataclass(frozen=True)
class ResamplingConfig:
    """When a frame is dropped.

    Attributes:
        max_below_ground: pixels under the ground plane that a frame may have, at 640x192; it scales
            with the area of the image.
        margin: how far under the plane a pixel must lie to count, in heights of the camera above
            it: depth of unknown scale has no metres.
        reach: pixels are counted where the plane lies within so many camera heights: beyond, a
            plane tilted by a tenth of a degree would put the sky under the ground.
        max_dropped_share: more dropped frames than this mean an immature network: the run stops.
    """

    max_below_ground: float = 10.0
    margin: float = 1.0
    reach: float = 15.0
    max_dropped_share: float = 0.3

    def limit(self, camera: Camera) -> float:
        """Return the number of pixels that a frame of this camera may have under the plane."""
        return self.max_below_ground * camera.width * camera.height / REFERENCE_AREA


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the ground plane says about each training frame.

    Attributes:
        below_N: pixels under the plane; -1 where no plane was found (such frames are kept).
        dropped_N: which frames are dropped.
        rule: the rule with its numbers, in one sentence.
    """

    below_N: np.ndarray
    dropped_N: np.ndarray
    rule: str


def below_ground(
    depth_HW: np.ndarray, camera: Camera, config: ResamplingConfig, seed: int
) -> np.ndarray | None:
    """Return which pixels lie far under the ground plane, (H, W) bool; None without a plane.

    The answer does not depend on the scale of the depth.
    """
    plane = fit_ground_plane(depth_HW, camera, seed=seed)
    if plane is None:
        return None
    # The plane's inverse depth at each pixel, in camera heights.
    inv_ground = (camera.rays() @ plane.m[:2] + plane.m[2]) * plane.height
    with np.errstate(invalid='ignore'):
        below = plane.depth_below(depth_HW, camera) > config.margin
    return below & (inv_ground > 1 / config.reach)


@torch.no_grad()
def predict_depth(
    objective: Objective, triplets: Triplets, indices: Sequence[int], device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle images (BHW3 uint8) of triplets and their predicted depth (BHW)."""
    width, height = triplets.size
    images = np.empty((len(indices), height, width, 3), np.uint8)
    intrinsics = torch.tensor([triplets.intrinsics(index) for index in indices], device=device)
    for image, index in zip(images, indices):
        part, center = triplets.locate(index)
        part.drive.read(center, image)
    inputs = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    inv_depth = objective.model(inputs).inv_depths[0].float()
    return images, objective.depth(inv_depth, intrinsics)[:, 0].cpu().numpy()


def judge(
    fabric: Fabric,
    objective: Objective,
    triplets: Triplets,
    config: ResamplingConfig,
    seed: int,
    batch: int = 8,
) -> Judgement:
    """Predict the depth of every training frame and count what lies under the ground.

    Args:
        fabric: processes share the frames.
        objective: the networks of stage one.
        triplets: those that stage one was trained on.
        config: the rule.
        seed: of RANSAC; frame by frame the same, however processes share the work.
        batch: frames that are predicted at once.
    """
    objective.eval()
    below = torch.zeros(len(triplets), device=fabric.device)
    mine = range(fabric.global_rank, len(triplets), fabric.world_size)
    for start in range(0, len(mine), batch):
        indices = mine[start : start + batch]
        with fabric.autocast():
            _, depths = predict_depth(objective, triplets, indices, fabric.device)
        for index, depth_HW in zip(indices, depths):
            camera = triplets.locate(index)[0].drive.fit.camera
            mask = below_ground(depth_HW, camera, config, seed)
            below[index] = -1 if mask is None else int(mask.sum())
    below_N = reduce(fabric, below, 'sum').cpu().numpy().astype(int)
    limits = np.concatenate(
        [np.full(len(part.centers), config.limit(part.drive.fit.camera)) for part in triplets.parts]
    )
    dropped = below_N > limits
    width, height = triplets.size
    rule = (
        f'dropped with more than {limits.max():g} pixels (of {width}x{height}) '
        f'at least {config.margin:g} camera heights under the ground plane'
    )
    return Judgement(below_N, dropped, rule)


def check_maturity(judgement: Judgement, config: ResamplingConfig) -> None:
    """Refuse to go on with a judgement that drops too much.

    Raises:
        ResamplingError: when more than `max_dropped_share` of the frames would go.
    """
    share = judgement.dropped_N.mean()
    if share > config.max_dropped_share:
        raise ResamplingError(
            f'stage two would drop {share:.0%} of {len(judgement.dropped_N)} frames, expected at '
            f'most {config.max_dropped_share:.0%} ({judgement.rule}): stage one is not mature, '
            'train it longer'
        )


def control(judgement: Judgement, seed: int) -> np.ndarray:
    """Return as many frames as were dropped, but chosen at random, (N,) bool."""
    count = len(judgement.dropped_N)
    chosen = np.zeros(count, bool)
    rng = np.random.default_rng(seed)
    chosen[rng.choice(count, int(judgement.dropped_N.sum()), replace=False)] = True
    return chosen


def describe(judgement: Judgement, triplets: Triplets) -> dict[str, Any]:
    """Return the list of dropped frames, with the rule, ready for JSON."""
    frames = []
    for index in np.flatnonzero(judgement.dropped_N):
        part, center = triplets.locate(int(index))
        frames.append(
            {
                'bag': part.drive.drive.name,
                'frame': center,
                'stamp_ns': int(part.drive.drive.stamps[center]),
                'below': int(judgement.below_N[index]),
            }
        )
    return {
        'rule': judgement.rule,
        'frames': len(triplets),
        'without_plane': int((judgement.below_N < 0).sum()),
        'dropped': frames,
    }


def write_dropped(
    folder: Path,
    judgement: Judgement,
    objective: Objective,
    triplets: Triplets,
    config: ResamplingConfig,
    seed: int,
    device: torch.device,
    pictures: int = 24,
) -> None:
    """Write `dropped.json` and a picture of each of the worst frames into a folder.

    A picture shows the image with what lies under the ground in red, and the inverse depth.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = np.argsort(-judgement.below_N, kind='stable')
    for index in [int(i) for i in order if judgement.dropped_N[i]][:pictures]:
        part, center = triplets.locate(index)
        (image,), (depth_HW,) = predict_depth(objective, triplets, [index], device)
        mask = below_ground(depth_HW, part.drive.fit.camera, config, seed)
        marked = image.copy()
        if mask is not None:
            marked[mask] = (255, 0, 0)
        sheet = np.concatenate([marked, color_inv_depth(1 / depth_HW)])
        _, png = cv2.imencode('.png', cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        write_atomically(folder / f'{part.drive.drive.name}_{center:06d}.png', png.tobytes())
    text = json.dumps(describe(judgement, triplets), indent=1)
    write_atomically(folder / 'dropped.json', text.encode())
