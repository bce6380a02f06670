import pytest
import torch

from semdepth_training import losses


def test_equal_images_have_no_photometric_error():
    image = torch.rand(2, 3, 8, 9)
    assert losses.photometric_error(image, image, 0.85).abs().max() < 1e-5


def test_ssim_of_constant_images_follows_the_formula():
    # Constant images have no variance: SSIM = (2ab + C1) / (a^2 + b^2 + C1).
    a, b = torch.full((1, 3, 5, 5), 0.2), torch.full((1, 3, 5, 5), 0.6)
    ssim = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    a, b = a.double(), b.double()
    assert torch.allclose(losses.ssim_distance(a, b), torch.full_like(a, (1 - ssim) / 2))
    expected = 0.85 * (1 - ssim) / 2 + 0.15 * 0.4
    error = losses.photometric_error(a, b, 0.85)
    assert error.shape == (1, 1, 5, 5)
    assert error[0, 0, 2, 2].item() == pytest.approx(expected, abs=1e-5)


def test_ssim_of_a_pixel_is_that_of_its_3x3_window():
    a, b = torch.rand(1, 1, 5, 5, dtype=torch.float64), torch.rand(1, 1, 5, 5, dtype=torch.float64)
    wa, wb = a[0, 0, 1:4, 1:4].flatten(), b[0, 0, 1:4, 1:4].flatten()
    ma, mb = wa.mean(), wb.mean()
    cov = (wa * wb).mean() - ma * mb
    va, vb = wa.var(unbiased=False), wb.var(unbiased=False)
    ssim = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    assert losses.ssim_distance(a, b)[0, 0, 2, 2].item() == pytest.approx(
        ((1 - ssim) / 2).clamp(0, 1).item(), abs=1e-9
    )


def test_minimum_reprojection_forgives_what_one_context_does_not_see():
    warped = torch.tensor([[[[0.9, 0.1]], [[0.2, 0.8]]]])
    assert losses.minimum_reprojection(warped).flatten().tolist() == pytest.approx([0.2, 0.1])


def test_automask_stops_the_gradient_of_pixels_that_stand_still():
    warped = torch.tensor([[[[0.3, 0.3]], [[0.4, 0.4]]]], requires_grad=True)
    unwarped = torch.tensor([[[[0.1, 0.9]], [[0.5, 0.9]]]])
    losses.minimum_reprojection(warped, unwarped).sum().backward()
    assert warped.grad.flatten().tolist() == [0, 1, 0, 0]


def test_smoothness_does_not_depend_on_the_scale_of_depth():
    inv_depth, image = torch.rand(2, 1, 6, 7) + 0.1, torch.rand(2, 3, 6, 7)
    assert torch.allclose(
        losses.smoothness(inv_depth, image), losses.smoothness(inv_depth * 9, image), rtol=1e-4
    )


def test_smoothness_of_a_step_costs_less_where_the_image_has_an_edge():
    inv_depth = torch.ones(1, 1, 4, 4)
    inv_depth[..., 2:] = 3
    flat, edge = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    edge[..., 2:] = 1
    # Steps of (3 - 1) / mean 2 = 1 at one of three column pairs.
    assert losses.smoothness(inv_depth, flat).item() == pytest.approx(1 / 3)
    assert losses.smoothness(inv_depth, edge).item() == pytest.approx(
        torch.exp(-torch.tensor(1.0)) / 3
    )


def test_velocity_error_is_in_metres_and_skips_what_is_unknown():
    translation = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]], requires_grad=True)
    distance = torch.tensor([[4.5, float('nan')]])
    error = losses.velocity_error(translation, distance)
    assert error.item() == pytest.approx(0.25)  # mean of |5 - 4.5| and of nothing
    error.backward()
    assert translation.grad[0, 1].abs().max() == 0


def test_velocity_error_of_no_translation_has_a_finite_gradient():
    translation = torch.zeros(1, 2, 3, requires_grad=True)
    losses.velocity_error(translation, torch.ones(1, 2)).backward()
    assert torch.isfinite(translation.grad).all()
