import colorsys

import pytest
import torch

from semdepth_training.augmentation import (
    AugmentationConfig,
    AugmentationError,
    draw,
    jitter,
    mirror,
    zoom,
)

NONE = AugmentationConfig(brightness=0, contrast=0, saturation=0, hue=0, flip=0)


def test_without_reach_images_stay_as_they_are():
    images = torch.rand(2, 3, 3, 4, 5)
    assert torch.allclose(jitter(images, draw(NONE, 2, seed=0, step=0)), images, atol=1e-6)


def test_what_is_drawn_depends_on_seed_and_step_alone():
    config = AugmentationConfig()
    a, b, c = draw(config, 8, 1, 5), draw(config, 8, 1, 5), draw(config, 8, 1, 6)
    assert torch.equal(a.color_B34, b.color_B34) and torch.equal(a.flip_B, b.flip_B)
    assert not torch.equal(a.color_B34, c.color_B34)


def test_processes_that_share_a_batch_augment_as_one():
    whole = draw(AugmentationConfig(), 8, 3, 7)
    parts = [whole.part(0, 4), whole.part(4, 8)]
    images = torch.rand(8, 3, 3, 6, 6)
    together = torch.cat([jitter(images[:4], parts[0]), jitter(images[4:], parts[1])])
    assert torch.equal(together, jitter(images, whole))


def test_brightness_scales_and_stays_within_reach():
    config = AugmentationConfig(brightness=0.2, contrast=0, saturation=0, hue=0, flip=0)
    images = torch.full((64, 1, 3, 2, 2), 0.5)
    factors = jitter(images, draw(config, 64, 0, 0))[:, 0, 0, 0, 0] / 0.5
    assert 0.8 <= factors.min() < 0.85 and 1.15 < factors.max() <= 1.2


def test_saturation_keeps_grey_and_hue_turns_the_colour():
    grey = torch.full((16, 1, 3, 2, 2), 0.4)
    config = AugmentationConfig(brightness=0, contrast=0, saturation=0.5, hue=0.5, flip=0)
    assert torch.allclose(jitter(grey, draw(config, 16, 0, 0)), grey, atol=1e-5)
    color = torch.tensor([0.6, 0.4, 0.4]).view(1, 1, 3, 1, 1).expand(16, 1, 3, 2, 2)
    config = AugmentationConfig(brightness=0, contrast=0, saturation=0, hue=0.05, flip=0)
    hues = [
        colorsys.rgb_to_hsv(*pixel.tolist())[0]
        for pixel in jitter(color, draw(config, 16, 0, 0))[:, 0, :, 0, 0]
    ]
    turns = [min(hue, 1 - hue) for hue in hues]
    assert 0.02 < max(turns) <= 0.06


def test_all_images_of_a_triplet_get_the_same_colours():
    images = torch.rand(4, 1, 3, 6, 6).expand(4, 3, 3, 6, 6)
    result = jitter(images, draw(AugmentationConfig(), 4, 0, 0))
    assert torch.allclose(result[:, 0], result[:, 1], atol=1e-6)


def test_mirroring_twice_gives_the_image_back():
    images, flip = torch.rand(3, 1, 2, 4), torch.tensor([True, False, True])
    once = mirror(images, flip)
    assert torch.equal(once[0, ..., 0], images[0, ..., -1])
    assert torch.equal(once[1], images[1])
    assert torch.equal(mirror(once, flip), images)


@pytest.mark.parametrize('share', [0.0, 1.0])
def test_flip_follows_its_probability(share):
    config = AugmentationConfig(flip=share)
    assert draw(config, 32, 0, 0).flip_B.float().mean() == share


def test_without_zoom_nothing_is_drawn_for_it():
    assert draw(AugmentationConfig(), 4, 0, 0).zoom_B3 is None


def test_half_of_the_images_are_zoomed_within_reach_anywhere_in_the_image():
    drawn = draw(AugmentationConfig(zoom=1.5), 400, 0, 0)
    factor, x, y = drawn.zoom_B3.unbind(1)
    assert 0.4 < (factor > 1).float().mean() < 0.6
    assert factor.min() == 1 and 1.45 < factor.max() <= 1.5
    for place in (x, y):
        assert 0 <= place.min() < 0.05 and 0.95 < place.max() <= 1
    assert torch.equal(drawn.part(100, 200).zoom_B3, drawn.zoom_B3[100:200])


def test_zoom_leaves_colours_and_flips_as_they_were_drawn():
    plain, zoomed = (draw(AugmentationConfig(zoom=z), 8, 3, 7) for z in (1.0, 1.5))
    assert torch.equal(plain.color_B34, zoomed.color_B34)
    assert torch.equal(plain.flip_B, zoomed.flip_B)


def test_a_zoomed_pixel_shows_what_its_ray_hits():
    """An image of its own rays: each pixel holds x / z and y / z of where it looks."""
    height, width = 24, 40
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')

    def rays(intrinsics):
        fx, fy, cx, cy = intrinsics.tolist()
        return torch.stack([(u - cx) / fx, (v - cy) / fy, torch.zeros(height, width)])

    K = torch.tensor([[30.0, 32.0, 21.0, 10.0]]).expand(4, 4)
    window = torch.tensor([[1.0, 0.5, 0.5], [2.0, 0.0, 1.0], [1.6, 0.3, 0.9], [3.0, 1.0, 0.0]])
    images = rays(K[0]).expand(4, 3, 3, height, width)
    pixels, intrinsics = zoom(images, K, window)
    assert pixels.shape == images.shape
    assert torch.allclose(intrinsics[:, 0], 30 * window[:, 0])
    for seen, camera in zip(pixels, intrinsics):
        # Beside the window's edge a pixel may reach over the image's.
        inside = (..., slice(2, -2), slice(2, -2))
        assert torch.allclose(seen[1][inside], rays(camera)[inside], atol=1e-5)


@pytest.mark.parametrize('value', [0.5, 9.0, float('nan')])
def test_a_zoom_that_cannot_be_is_refused(value):
    with pytest.raises(AugmentationError, match=r'augmentation\.zoom is .*expected 1 to 4'):
        AugmentationConfig(zoom=value)
