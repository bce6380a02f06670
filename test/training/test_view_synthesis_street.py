"""View synthesis against rendered frames: true depth and pose must give the target back."""

import numpy as np
import pytest
import torch

from semdepth_ros.simulation.config import StreetConfig, default_camera
from semdepth_ros.simulation.drive import StreetDrive
from semdepth_training.view_synthesis import correspondences, in_view, sample


class Pair:
    """Two neighbouring frames and where the first one's pixels lie in the second."""

    def __init__(self, drive):
        target, context = drive.frame(8), drive.frame(9)
        camera = target.camera
        T = np.linalg.inv(context.T_world_camera) @ target.T_world_camera
        # The sky does not move with the camera's translation.
        depth = np.where(np.isfinite(target.depth), target.depth, 1e6)
        self.K = torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]], dtype=torch.float64)
        self.target, self.context = (
            torch.from_numpy(f.image).permute(2, 0, 1)[None].double() / 255
            for f in (target, context)
        )
        self.pixels = correspondences(
            torch.from_numpy(depth)[None, None].double(), self.K, torch.from_numpy(T)[None]
        )
        self.seen = in_view(self.pixels, camera.height, camera.width)

    def error(self, image):
        """Return the median absolute difference from the target where the context shows it.

        The median: what is hidden in one of the frames, or thinner than a pixel, differs anyhow.
        """
        difference = (image - self.target).abs().mean(1, keepdim=True)
        return difference[self.seen].median().item()

    def mean_error(self, image):
        difference = (image - self.target).abs().mean(1, keepdim=True)
        return difference[self.seen].mean().item()


@pytest.fixture(scope='module')
def drive():
    camera = default_camera(160, 48)
    return StreetDrive(StreetConfig(seed=3, frames=20, camera=camera, traffic=0.0, speed=6.0))


@pytest.fixture(scope='module')
def pairs(drive):
    sizes = [(160, 48), (320, 96), (640, 192)]
    return [Pair(drive.seen_by(default_camera(*size))) for size in sizes]


def test_true_depth_and_pose_give_the_target_back(pairs):
    for pair in pairs:
        warped = sample(pair.context, pair.pixels)
        assert pair.error(warped) < 0.004
        assert pair.mean_error(warped) < 0.6 * pair.mean_error(pair.context)


def test_the_error_falls_with_resolution(pairs):
    medians = [pair.error(sample(pair.context, pair.pixels)) for pair in pairs]
    means = [pair.mean_error(sample(pair.context, pair.pixels)) for pair in pairs]
    assert medians[0] > medians[1] > medians[2]
    assert means[0] > means[1] > means[2]


def test_half_a_pixel_off_shows(pairs):
    # What a sampler with the other convention of corners, or a wrong centre, would do.
    for pair in pairs:
        right = pair.error(sample(pair.context, pair.pixels))
        assert pair.error(sample(pair.context, pair.pixels + 0.5)) > 1.2 * right


def test_depth_off_by_a_fifth_shows(pairs):
    pair = pairs[2]
    right = pair.error(sample(pair.context, pair.pixels))
    grid = torch.stack(
        torch.meshgrid(torch.arange(640), torch.arange(192), indexing='xy')
    ).double()[None]
    wrong = grid + 1.2 * (pair.pixels - grid)
    assert pair.error(sample(pair.context, wrong)) > 1.2 * right
