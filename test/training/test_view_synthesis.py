import numpy as np
import pytest
import torch

from semdepth_ros.camera import Camera
from semdepth_ros.networks.pose import through_lens
from semdepth_training.pose_geometry import euler_to_rotation, pose_matrix
from semdepth_training.view_synthesis import (
    correspondences,
    in_view,
    project,
    sample,
    synthesise,
    unproject,
)


def intrinsics(camera):
    return torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]], dtype=torch.float64)


def test_without_motion_the_context_is_the_target():
    image, depth = torch.rand(1, 3, 6, 8).double(), torch.rand(1, 1, 6, 8).double() + 1
    K = torch.tensor([[7.0, 6.0, 3.2, 2.9]]).double()
    assert torch.allclose(synthesise(image, depth, K, torch.eye(4).double()[None]), image)


def test_a_sideways_step_at_constant_depth_shifts_by_f_t_over_z():
    image = torch.rand(1, 3, 6, 8).double()
    depth = torch.full((1, 1, 6, 8), 5.0).double()
    K = torch.tensor([[10.0, 10.0, 3.5, 2.5]]).double()
    # The context camera stands 1 m to the left: its points lie 1 m to the right.
    T = pose_matrix(torch.tensor([[1.0, 0, 0, 0, 0, 0]]).double())
    warped = synthesise(image, depth, K, T)
    assert torch.allclose(warped[..., :-2], image[..., 2:])


def test_projection_agrees_with_the_camera_of_the_core():
    camera = Camera(9, 7, 8.0, 7.5, 4.2, 3.1)
    depth = np.random.default_rng(0).uniform(1, 20, (7, 9)).astype(np.float64)
    points = unproject(torch.from_numpy(depth)[None, None], intrinsics(camera))
    assert np.allclose(points[0].permute(1, 2, 0), camera.unproject(depth), rtol=1e-5)
    pixels = project(points, intrinsics(camera))[0].permute(1, 2, 0).numpy()
    assert np.allclose(pixels, camera.project(camera.unproject(depth)), atol=1e-4)


@pytest.mark.parametrize('factor', [0.5, 2, 3])
def test_correspondences_commute_with_resizing(factor):
    # A plane seen at two image sizes: the same points, so the same places by the half-pixel rule.
    camera = Camera(24, 12, 20.0, 21.0, 11.3, 5.9)
    other = camera.resized(int(24 * factor), int(12 * factor))
    T = pose_matrix(torch.tensor([[0.3, -0.1, 0.4, 0.02, -0.03, 0.01]]).double())
    depth = torch.full((1, 1, 12, 24), 6.0).double()
    depth_other = torch.full((1, 1, other.height, other.width), 6.0).double()
    places = correspondences(depth, intrinsics(camera), T)[0, :, 4, 8]
    # The pixel of the other image that covers the same point of the scene.
    there = ((8 + 0.5) * factor - 0.5, (4 + 0.5) * factor - 0.5)
    field = correspondences(depth_other, intrinsics(other), T)
    place_other = sample(field, torch.tensor(there).double().view(1, 2, 1, 1))[0, :, 0, 0]
    assert torch.allclose((places + 0.5) * factor - 0.5, place_other, atol=0.02)


def test_points_behind_the_camera_are_out_of_view():
    K = torch.tensor([[10.0, 10.0, 3.5, 2.5]])
    pixels = project(torch.tensor([[[[1.0]], [[1.0]], [[-2.0]]]]), K)
    assert not in_view(pixels, 6, 8).any()


def test_coordinates_that_are_no_numbers_show_and_do_not_crash():
    image = torch.rand(2, 3, 32, 64, requires_grad=True)
    pixels = torch.zeros(2, 2, 32, 64)
    pixels[1] = float('nan')
    pixels.requires_grad_()
    sampled = sample(image, pixels)
    assert torch.isfinite(sampled[0]).all() and torch.isnan(sampled[1]).all()
    sampled.sum().backward()


def test_rotations_are_rotations_and_start_with_x():
    R = euler_to_rotation(torch.randn(5, 3).double())
    assert torch.allclose(R @ R.mT, torch.eye(3).double().expand(5, 3, 3), atol=1e-12)
    assert torch.allclose(torch.linalg.det(R), torch.ones(5).double())
    a, b, c = (torch.tensor([v]).double() for v in ([0.2, 0, 0], [0, -0.3, 0], [0, 0, 0.5]))
    composed = euler_to_rotation(a) @ euler_to_rotation(b) @ euler_to_rotation(c)
    assert torch.allclose(euler_to_rotation(a + b + c), composed)
    # About x by a small angle: y turns towards z.
    assert euler_to_rotation(a)[0, 2, 1] > 0


def test_a_pose_vector_is_translation_then_angles():
    T = pose_matrix(torch.tensor([[1.0, 2.0, 3.0, 0, 0, 0]]))
    assert T[0].tolist() == [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ('looks', 'centre', 'tolerance'),
    [
        # Translation and roll: the same to the last digit, in the whole image.
        ([0.05, -0.02, 0.6, 0.0, 0.0, 0.005], False, 1e-9),
        # Pitch and yaw: around the optical axis; towards the edges perspective differs.
        ([0.0, 0.0, 0.0, 0.004, -0.006, 0.0], True, 1e-3),
    ],
)
def test_motion_through_a_longer_lens_moves_the_same_pixels(looks, centre, tolerance):
    """A scene twice as far through a lens twice as long, and the pose it looks like."""
    torch.manual_seed(0)
    depth = torch.rand(1, 1, 21, 31).double() * 10 + 8
    K = torch.tensor([[40.0, 40.0, 15.0, 10.0]]).double()
    long = K * torch.tensor([2.0, 2.0, 1.0, 1.0])
    looks = torch.tensor([[looks]]).double()
    pose = through_lens(looks, torch.tensor([2.0]).double())
    still = correspondences(depth, K, torch.eye(4).double()[None])
    expected = correspondences(depth, K, pose_matrix(looks[:, 0])) - still
    found = correspondences(2 * depth, long, pose_matrix(pose[:, 0])) - still
    if centre:
        expected, found = (flow[..., 10:11, 15:16] for flow in (expected, found))
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def test_the_lens_of_the_weights_leaves_the_pose_as_it_is():
    looks = torch.rand(3, 2, 6)
    assert torch.equal(through_lens(looks, torch.ones(3)), looks)
