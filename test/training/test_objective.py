import dataclasses
import shutil

import pytest
import torch
from torch import nn

from semdepth_ros.networks.model import ModelConfig, build_model
from semdepth_ros.networks.pose import PoseNet
from semdepth_training import losses
from semdepth_training.augmentation import AugmentationConfig, draw
from semdepth_training.objective import Batch, LossConfig, Objective, View

HEIGHT, WIDTH = 32, 64


class Wall(nn.Module):
    """A depth network that sees a wall at `depth` metres, whatever the image."""

    def __init__(self, depth):
        super().__init__()
        self.inv_depth = nn.Parameter(torch.tensor(1 / depth))

    def forward(self, image):
        scales = [image[:, :1, ::s, ::s] * 0 + self.inv_depth for s in (1, 2, 4, 8)]
        return type('Output', (), {'inv_depths': tuple(scales)})


class Sideways(nn.Module):
    """A pose network that sees the camera step sideways by `step` metres from frame to frame."""

    def __init__(self, step):
        super().__init__()
        self.step = nn.Parameter(torch.tensor(step))

    def forward(self, target, contexts):
        poses = target.new_zeros(len(target), 2, 6)
        poses[:, 0, 0], poses[:, 1, 0] = self.step, -self.step
        return poses


def wall_batch(slide, shift=4, focal=40.0, metres=0.5):
    """Return a batch of a textured wall that moves by `shift` pixels from frame to frame."""
    import numpy as np

    frames = [slide(100 + k * shift, WIDTH)[:HEIGHT] for k in (0, -1, 1)]
    images = torch.from_numpy(np.stack(frames))[None]
    K = torch.tensor([[focal, focal, (WIDTH - 1) / 2, (HEIGHT - 1) / 2]])
    return Batch(images, K, torch.full((1, 2), metres), torch.zeros(1, dtype=torch.long))


def plain(batch=1, **changes):
    values = {'brightness': 0, 'contrast': 0, 'saturation': 0, 'hue': 0, 'flip': 0} | changes
    return draw(AugmentationConfig(**values), batch, 0, 0)


def photometric(objective, batch):
    return objective(batch, plain())['photometric'].item()


def test_right_depth_and_pose_have_the_smallest_error(slide):
    # 4 pixels at focal length 40 and a step of 0.5 m: the wall is 5 m away.
    batch = wall_batch(slide)
    errors = {d: photometric(Objective(Wall(d), Sideways(0.5), LossConfig(), 40.0), batch)
              for d in (3.0, 4.0, 5.0, 6.5, 9.0)}  # fmt: skip
    assert min(errors, key=errors.get) == 5.0
    assert errors[5.0] < 0.3 * min(errors[4.0], errors[6.5])


@pytest.mark.parametrize('focal_length', [20.0, 40.0, 80.0])
def test_depth_of_another_focal_length_is_scaled_by_f_over_f_train(slide, focal_length):
    # Network depth d means d f / f_train metres: what fits at f_train = f is off by that factor.
    batch = wall_batch(slide)
    right = 5.0 * focal_length / 40.0
    at = lambda depth: photometric(  # noqa: E731
        Objective(Wall(depth), Sideways(0.5), LossConfig(), focal_length), batch
    )
    assert at(right) < 0.3 * min(at(right * 0.8), at(right * 1.25))


def test_cameras_of_two_focal_lengths_teach_the_same_network_depth(slide):
    # The same wall through a lens twice as long: twice the shift, and one network depth fits both
    # only if the rule is applied to each by its own focal length.
    near, far = wall_batch(slide, shift=4, focal=40.0), wall_batch(slide, shift=4, focal=80.0)
    objective = Objective(Wall(5.0), Sideways(0.5), LossConfig(), 40.0)
    depth = 1 / torch.full((1, 1, HEIGHT, WIDTH), 1 / 5.0)
    assert torch.allclose(objective.depth(1 / depth, near.intrinsics_B4), depth)
    assert torch.allclose(objective.depth(1 / depth, far.intrinsics_B4), 2 * depth)
    assert photometric(objective, far) == pytest.approx(photometric(objective, near), abs=1e-3)


def test_the_depth_networks_input_is_mirrored_and_its_output_mirrored_back():
    torch.manual_seed(0)
    model = build_model(ModelConfig('efficientnet_lite0', {'decoder_channels': (4, 4, 8, 8, 8)}))
    objective = Objective(model, PoseNet(), LossConfig(), 40.0).eval()
    images = torch.randint(0, 255, (2, 3, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    batch = Batch(images, torch.ones(2, 4), torch.ones(2, 2), torch.arange(2))
    mirrored = objective.view(batch, plain(2, flip=1.0))
    straight = objective.view(batch, plain(2))
    image = straight.images_BN3HW[:, 0]
    expected = model(image.flip(-1)).inv_depths[0].flip(-1)
    assert torch.allclose(mirrored.inv_depths[0], expected, atol=1e-6)
    assert not torch.allclose(mirrored.inv_depths[0], straight.inv_depths[0], atol=1e-4)
    # The pose network and the losses see the images as they are.
    assert torch.equal(mirrored.poses_BN6, straight.poses_BN6)
    assert torch.equal(mirrored.images_BN3HW, straight.images_BN3HW)


def test_the_pose_is_that_of_motion_seen_through_the_cameras_lens():
    torch.manual_seed(0)
    objective = Objective(Wall(5.0), PoseNet().eval(), LossConfig(), 40.0)
    images = torch.randint(0, 255, (1, 3, HEIGHT, WIDTH, 3), dtype=torch.uint8)

    def pose(focal):
        K = torch.tensor([[focal, focal, 31.5, 15.5]])
        return objective.view(Batch(images, K, torch.ones(1, 2), torch.arange(1))).poses_BN6

    ratio = pose(80.0) / pose(40.0)
    expected = torch.tensor([1, 1, 2, 0.5, 0.5, 1])
    torch.testing.assert_close(ratio, expected.expand(1, 2, 6))


def test_depth_that_fits_the_whole_image_fits_its_window(slide):
    """The wall is 5 m away, so it looks 5 / 1.5 m near when all is enlarged 1.5 times."""
    batch = wall_batch(slide)
    drawn = dataclasses.replace(plain(), zoom_B3=torch.tensor([[1.5, 0.2, 0.8]]))

    def error(depth):
        objective = Objective(Wall(depth), Sideways(0.5), LossConfig(), 40.0)
        return objective(batch, drawn)['photometric'].item()

    assert error(5 / 1.5) < 0.3 * min(error(5.0), error(5 / 1.5 / 1.25))


def test_the_pose_network_sees_the_whole_image_and_the_depth_network_the_window():
    torch.manual_seed(0)
    model = build_model(ModelConfig('efficientnet_lite0', {'decoder_channels': (4, 4, 8, 8, 8)}))
    objective = Objective(model, PoseNet(), LossConfig(), 40.0).eval()
    images = torch.randint(0, 255, (2, 3, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    K = torch.tensor([[40.0, 40.0, 31.5, 15.5]]).expand(2, 4)
    batch = Batch(images, K, torch.ones(2, 2), torch.arange(2))
    window = torch.tensor([[1.0, 0.5, 0.5], [1.4, 0.0, 0.6]])
    zoomed = objective.view(batch, dataclasses.replace(plain(2), zoom_B3=window))
    straight = objective.view(batch, plain(2))
    assert torch.equal(zoomed.poses_BN6, straight.poses_BN6)
    assert torch.allclose(zoomed.images_BN3HW[0], straight.images_BN3HW[0], atol=1e-5)
    assert not torch.allclose(zoomed.images_BN3HW[1], straight.images_BN3HW[1], atol=0.1)
    # Without jitter, what the losses see is what the depth network has seen.
    expected = model(zoomed.images_BN3HW[:, 0]).inv_depths[0]
    assert torch.allclose(zoomed.inv_depths[0], expected, atol=1e-6)


def test_jitter_changes_network_inputs_and_leaves_the_loss_its_clean_images(slide):
    batch = wall_batch(slide)
    objective = Objective(Wall(5.0), Sideways(0.5), LossConfig(), 40.0)
    jittered = objective(batch, draw(AugmentationConfig(flip=0), 1, 0, 3))
    # Neither of these networks looks at its input, so only dirty images could change the loss.
    assert jittered['photometric'].item() == photometric(objective, batch)


def test_the_loss_is_the_papers_sum(slide):
    batch = wall_batch(slide, metres=0.8)
    config = LossConfig()
    values = Objective(Wall(4.0), Sideways(0.5), config, 40.0)(batch, plain())
    assert values['velocity'].item() == pytest.approx(0.3, abs=1e-6)
    expected = values['photometric'] + 0.001 * values['smoothness'] + 0.05 * values['velocity']
    assert values['loss'].item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.skipif(shutil.which('g++') is None, reason='there is no C++ compiler')
def test_compiled_losses_and_their_gradients_are_the_same(slide):
    """Of random depth: where errors are equal, each form may choose another one to follow."""
    batch = wall_batch(slide)
    found = []
    for compiled in (False, True):
        objective = Objective(Wall(4.0), Sideways(0.5), LossConfig(), 40.0)
        if compiled:
            objective.compile_losses()
        torch.manual_seed(0)
        inv_depth = (0.1 + 0.2 * torch.rand(1, 1, HEIGHT, WIDTH)).requires_grad_()
        poses = (0.05 * torch.randn(1, 2, 6)).requires_grad_()
        view = View(objective.clean_images(batch), batch.intrinsics_B4, (inv_depth,), poses)
        values = objective.losses(view, batch)
        values['loss'].backward()
        assert inv_depth.grad.abs().max() > 0 and poses.grad.abs().max() > 0
        found.append([*values.values(), inv_depth.grad, poses.grad])
    for eager, compiled in zip(*found):
        scale = eager.abs().max().item()
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-4 * scale)


def test_velocity_moves_the_pose_towards_metres(slide):
    pose = Sideways(0.1)
    Objective(Wall(1.0), pose, LossConfig(), 40.0)(wall_batch(slide), plain())['loss'].backward()
    assert pose.step.grad < 0  # a descent makes the step longer


def test_what_stands_still_teaches_nothing(slide):
    # No pixel moves, as with a car of the camera's own speed: the auto-mask leaves no gradient.
    batch = wall_batch(slide, shift=0)
    wall = Wall(5.0)
    values = Objective(wall, Sideways(0.5), LossConfig(smoothness=0, velocity=0), 40.0)(
        batch, plain()
    )
    assert values['automask'] > 0.99
    values['loss'].backward()
    assert wall.inv_depth.grad.abs() < 1e-6


def test_geometry_is_float32_under_autocast(slide):
    batch = wall_batch(slide)
    objective = Objective(Wall(5.0), Sideways(0.5), LossConfig(), 40.0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        values = objective(batch, plain())
    assert values['loss'].dtype == torch.float32
    assert values['photometric'].item() == pytest.approx(photometric(objective, batch), abs=1e-6)


def test_frozen_batch_normalisation_keeps_its_statistics():
    model = build_model(ModelConfig('efficientnet_lite0', {'decoder_channels': (4, 4, 8, 8, 8)}))
    objective = Objective(model, PoseNet(), LossConfig(), 40.0, freeze_batch_norm=True).train()
    norms = [m for m in objective.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert objective.pose_network.training


def test_moments_of_the_target_can_be_shared():
    a, b = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    shared = losses.photometric_error(a, b, 0.85, losses.moments(b))
    assert torch.equal(shared, losses.photometric_error(a, b, 0.85))
