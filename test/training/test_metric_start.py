import pytest
import torch

from semdepth_ros.networks.depth import build_depth_network
from semdepth_ros.networks.pose import PoseNet
from semdepth_training.metric_start import start_metric


@pytest.mark.parametrize('distance', [0.25, 0.8])
def test_untrained_networks_start_at_the_scale_of_the_drive(distance):
    torch.manual_seed(0)
    depth = build_depth_network('efficientnet_lite0', decoder_channels=(4, 4, 8, 8, 8)).eval()
    pose = PoseNet()
    start_metric(depth, pose, distance)
    images = torch.rand(2, 3, 3, 64, 96)
    with torch.no_grad():
        inv_depths = depth(images[:, 0])
        poses = pose(images[:, 0], [images[:, 1], images[:, 2]])
    for inv_depth in inv_depths:
        assert (1 / inv_depth).median() == pytest.approx(10 * distance, rel=0.3)
    # The frame before is behind: the target's points lie farther ahead of it.
    assert torch.allclose(poses[:, 0, 2], torch.full((2,), distance), atol=0.05)
    assert torch.allclose(poses[:, 1, 2], torch.full((2,), -distance), atol=0.05)
    assert poses[..., 3:].abs().max() < 0.05
