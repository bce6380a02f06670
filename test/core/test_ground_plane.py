"""The ground plane: found on all pixels, in whatever unit the depth has."""

import cv2
import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_ros.ground_plane import fit_ground_plane
from semdepth_ros.simulation import StreetConfig, StreetDrive, default_camera

CAMERA = Camera(160, 96, 120.0, 120.0, 79.5, 40.0)
HEIGHT = 1.5


def street(pitch=0.0, noise=0.0, seed=0):
    """Road below the horizon, a wall at 25 m above it, and a box in front."""
    rays = CAMERA.rays()
    normal = np.array([0.0, np.cos(pitch), np.sin(pitch)])
    slope = rays[..., 0] * normal[0] + rays[..., 1] * normal[1] + normal[2]
    with np.errstate(divide='ignore'):
        road = np.where(slope > 0, HEIGHT / slope, np.inf)
    depth = np.minimum(road, 25.0)
    depth[40:60, 60:90] = np.minimum(depth[40:60, 60:90], 8.0)
    rng = np.random.default_rng(seed)
    return (depth * np.exp(noise * rng.standard_normal(depth.shape))).astype(np.float32)


@pytest.mark.parametrize('pitch', [-0.08, 0.0, 0.1])
def test_camera_height_and_normal_are_found_among_other_surfaces(pitch):
    plane = fit_ground_plane(street(pitch, noise=0.01), CAMERA)
    assert plane.height == pytest.approx(HEIGHT, rel=0.02)
    np.testing.assert_allclose(plane.normal, [0, -np.cos(pitch), -np.sin(pitch)], atol=0.02)


@pytest.mark.parametrize('unit', [1e-3, 0.04, 37.0])
def test_the_rule_does_not_depend_on_the_unit_of_depth(unit):
    depth = street(noise=0.01)
    one, other = fit_ground_plane(depth, CAMERA), fit_ground_plane(depth * unit, CAMERA)
    assert other.height == pytest.approx(one.height * unit, rel=1e-4)
    np.testing.assert_allclose(
        other.depth_below(depth * unit, CAMERA), one.depth_below(depth, CAMERA), atol=1e-3
    )


def test_an_infinitely_deep_hole_in_the_road_lies_below_the_plane():
    depth = street()
    depth[70:75, 70:80] = 500.0
    plane = fit_ground_plane(depth, CAMERA)
    below = plane.depth_below(depth, CAMERA) > 0.5
    assert below[70:75, 70:80].all()
    assert below.sum() == 50


def test_the_same_seed_gives_the_same_plane():
    depth = street(noise=0.05)
    one, other = (fit_ground_plane(depth, CAMERA, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.m, other.m)


def test_a_wall_or_an_empty_map_has_no_ground():
    assert fit_ground_plane(np.full((96, 160), 10.0, np.float32), CAMERA) is None
    assert fit_ground_plane(np.full((96, 160), np.nan, np.float32), CAMERA) is None


def test_depth_of_a_coarse_network_still_shows_the_height_of_the_camera():
    """Blurred and bumpy depth holds many planes; those in the air have points far below them."""
    camera = default_camera(224, 64)
    errors = []
    for seed in range(100, 112):
        frame = StreetDrive(StreetConfig(seed, frames=1, camera=camera, traffic=0.8)).frame(0)
        height = fit_ground_plane(frame.depth, camera).height
        inv_depth = cv2.GaussianBlur(1 / np.minimum(frame.depth, 1e4), (0, 0), 3)
        bumps = np.random.default_rng(seed).standard_normal((6, 20)).astype(np.float32)
        bumps = cv2.resize(bumps, camera.size, interpolation=cv2.INTER_CUBIC)
        coarse = 1 / (inv_depth * np.exp(0.2 * bumps))
        errors.append(abs(np.log(fit_ground_plane(coarse, camera).height / height)))
    # 0.22; without the points below 0.40.
    assert np.mean(errors) < 0.3
