"""The street world: what it shows agrees with what it says about it."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from semdepth_ros.camera import Camera
from semdepth_ros.classes import GROUND, ROAD, SIDEWALK, SKY, VEHICLES
from semdepth_ros.rectification import rectify
from semdepth_ros.simulation import SimulationError, StreetConfig, StreetDrive, default_camera

VEGETATION = 8


def drive(width=320, height=96, **fields):
    return StreetDrive(StreetConfig(camera=default_camera(width, height), **fields))


def world_points(frame):
    """Return the points (H, W, 3) of a frame in the world."""
    points = frame.camera.unproject(np.where(np.isfinite(frame.depth), frame.depth, np.nan))
    T = frame.T_world_camera
    return points.astype(np.float64) @ T[:3, :3].T + T[:3, 3]


def photometric_error(target, source):
    """Return the error of the source warped with true depth and pose, and of the unwarped source.

    Mean absolute gray levels over pixels that stand still and are not occluded, and their share.
    """
    T = np.linalg.inv(source.T_world_camera)
    points = world_points(target) @ T[:3, :3].T + T[:3, 3]
    pixels = source.camera.project(points).astype(np.float32)
    warped = cv2.remap(source.image, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
    seen = cv2.remap(source.depth, pixels[..., 0], pixels[..., 1], cv2.INTER_NEAREST)
    height, width = target.depth.shape
    inside = ((pixels >= 0) & (pixels <= [width - 1, height - 1])).all(-1)
    same = np.abs(seen - points[..., 2]) < 0.02 * points[..., 2]
    valid = np.isfinite(target.depth) & inside & same & ~target.moving
    errors = [np.abs(i.astype(float) - target.image).mean(-1) for i in (warped, source.image)]
    return errors[0][valid].mean(), errors[1][valid].mean(), valid.mean()


def test_the_same_seed_renders_the_same_frames_in_any_order():
    first, second = (drive(160, 48, seed=4, frames=40) for _ in range(2))
    expected = [first.frame(index) for index in (0, 1, 39)]
    for index, frame in zip((39, 0, 1), (second.frame(i) for i in (39, 0, 1))):
        other = expected[(0, 1, 39).index(index)]
        for field in dataclasses.fields(frame):
            np.testing.assert_array_equal(getattr(frame, field.name), getattr(other, field.name))


def test_another_seed_is_another_street():
    images = [drive(160, 48, seed=seed).frame(0).image.astype(float) for seed in (1, 2)]
    assert np.abs(images[0] - images[1]).mean() > 15


@pytest.mark.parametrize('seed', [0, 3])
def test_warping_with_true_depth_and_pose_gives_the_target_and_better_so_when_larger(seed):
    errors = []
    smallest = drive(seed=seed, frames=22)
    for scale in (1, 2, 4):
        world = smallest.seen_by(smallest.config.camera.resized(320 * scale, 96 * scale))
        warped, unwarped, share = photometric_error(world.frame(20), world.frame(21))
        assert share > 0.25
        assert warped < 0.3 * unwarped
        errors.append(warped)
    assert errors[0] < 4
    assert errors[1] < 3
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize('seed', [0, 2])
def test_labels_and_depth_agree(seed):
    world = drive(seed=seed)
    for index in (0, 50):
        frame = world.frame(index)
        np.testing.assert_array_equal(np.isposinf(frame.depth), frame.label == SKY)
        assert (frame.depth > 0).all()
        assert set(np.unique(frame.label)) <= set(range(19))
        points = world_points(frame)
        # All ground lies at the camera's height below it, and below the horizon.
        ground = np.isin(frame.label, GROUND)
        np.testing.assert_allclose(points[ground & (frame.depth < 200)][:, 2], 0, atol=1e-4)
        above = (points[..., 2] > 0.01) & np.isfinite(frame.depth)
        assert not ground[above].any()
        # Vehicles stand on it and end below 4 m; only they move.
        vehicle = np.isin(frame.label, VEHICLES)
        assert vehicle[frame.moving].all()
        assert (points[vehicle][:, 2] > -1e-3).all()
        assert (points[vehicle][:, 2] < 4).all()
        # The road lies under the camera, and the pavement beside it.
        x, y = frame.T_world_camera[:2, 3]
        reach = np.hypot(points[..., 0] - x, points[..., 1] - y)
        assert np.mean(frame.label[ground & (reach < 6)] == ROAD) > 0.3
        # Uneven road tips the camera around its foot point: a hair lower.
        assert frame.T_world_camera[2, 3] == pytest.approx(world.camera_height, abs=1e-4)
        assert not (frame.label[reach < 2] == SIDEWALK).any()


def test_depth_does_not_depend_on_the_size_of_the_image():
    """Every third pixel of a three times larger image has the same centre."""
    small = drive(160, 48, seed=5)
    large = small.seen_by(default_camera(160, 48).resized(480, 144))
    a, b = small.frame(10), large.frame(10)
    # Leaves are cut finer in a larger image; all else is the same.
    with np.errstate(invalid='ignore'):
        error = np.abs(a.depth - b.depth[1::3, 1::3]) / a.depth
    same = (error < 1e-5) | ((a.label == SKY) & (b.label[1::3, 1::3] == SKY))
    assert same[a.label != VEGETATION].mean() > 0.99
    assert same.mean() > 0.98


def test_poses_agree_with_speed_and_yaw_rate():
    world = drive(160, 48, seed=2, frames=60, rate=20)
    frames = [world.frame(index) for index in range(30, 34)]
    for a, b in itertools.pairwise(frames):
        dt = (b.stamp_ns - a.stamp_ns) * 1e-9
        assert dt == pytest.approx(0.05)
        step = np.linalg.norm((b.T_world_camera - a.T_world_camera)[:3, 3]) / dt
        assert step == pytest.approx((a.speed + b.speed) / 2, rel=0.02)
        turn = np.linalg.inv(a.T_world_base) @ b.T_world_base
        yaw = np.arctan2(turn[1, 0], turn[0, 0]) / dt
        assert yaw == pytest.approx((a.yaw_rate + b.yaw_rate) / 2, abs=0.02)
        R = a.T_world_camera[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
        # It looks along its motion.
        assert R[:, 2] @ (b.T_world_camera - a.T_world_camera)[:3, 3] / (dt * step) > 0.99


def test_a_convoy_keeps_its_distance_and_other_traffic_does_not():
    world = drive(seed=1, frames=80, convoy=1.0, traffic=0.0)
    gaps, steps = [], []
    for index in range(0, 80, 10):
        frame = world.frame(index)
        assert frame.convoy
        assert len(np.unique(frame.instance[frame.moving])) == 1
        gaps.append(frame.depth[frame.moving].min())
        steps.append(frame.speed)
    # Exactly constant along the road; a bend shortens the straight line a little.
    assert np.ptp(gaps) < 0.03 * np.mean(gaps)
    assert 4 < np.mean(gaps) < 15
    assert min(steps) > 3

    world = drive(seed=1, frames=160, convoy=0.4, traffic=0.0)
    frames = [world.frame(index) for index in range(0, 160, 8)]
    held = np.array([frame.convoy for frame in frames])
    gaps = np.array([frame.depth[frame.moving].min() for frame in frames])
    assert 0.15 < held.mean() < 0.65
    assert gaps[~held].max() > 1.5 * gaps[held].max()


def test_more_convoy_cars_keep_their_distance_side_by_side():
    world = drive(seed=6, frames=30, convoy=1.0, convoy_cars=2, traffic=0.0)
    cars = np.unique(world.frame(29).instance[world.frame(29).moving])
    assert len(cars) == 2


@pytest.mark.parametrize('seed', [1, 6])
def test_a_queue_stands_in_the_lane_a_few_metres_before_the_end(seed):
    world = drive(seed=seed, frames=32, queue=4, traffic=0.0)
    gaps = []
    for index in (8, 20, 31):
        frame = world.frame(index)
        height, width = frame.depth.shape
        ahead = frame.label[height // 2 :, width // 2 - 20 : width // 2 + 20]
        depth = frame.depth[height // 2 :, width // 2 - 20 : width // 2 + 20]
        vehicles = np.isin(ahead, VEHICLES)
        gaps.append((world.ego.s(world.time(index)), depth[vehicles].min()))
        assert not frame.moving.any()
    (s0, d0), (_, _), (s2, d2) = gaps
    assert 4 < d2 < 11
    # It stands: what the camera drives is what it comes nearer.
    assert d0 - d2 == pytest.approx(s2 - s0, rel=0.05)


def vehicles_in_the_world(frame):
    """Return the mean of the points seen of each vehicle."""
    points = world_points(frame)
    vehicle = np.isin(frame.label, VEHICLES)
    numbers = np.unique(frame.instance[vehicle])
    return {k: points[vehicle & (frame.instance == k)].mean(axis=0) for k in numbers}


@pytest.mark.parametrize('queue', [0, 2])
def test_in_a_jam_every_vehicle_stands(queue):
    def places(index, **fields):
        fields |= {'seed': 2, 'frames': 30, 'traffic': 1.0, 'queue': queue}
        frame = drive(**fields).frame(index)
        return frame.moving.any(), vehicles_in_the_world(frame)

    (_, before), (_, after) = places(0), places(5)
    assert max(np.hypot(*(after[k] - before[k])[:2]) for k in before.keys() & after) > 3
    (moves, before), (_, after) = places(0, jam=True), places(5, jam=True)
    both = before.keys() & after
    assert not moves
    assert len(both) > 2
    # Half a second later another part of each is seen, no other place.
    assert max(np.hypot(*(after[k] - before[k])[:2]) for k in both) < 2.5


def test_it_stands_still_for_the_share_asked_for():
    world = drive(96, 32, seed=3, frames=200, standstill=0.5)
    times = np.arange(200)
    places = np.array([world.ego.s(world.time(index)) for index in times])
    assert 0.45 < np.mean(np.diff(places) < 1e-6) < 0.55
    index = int(np.argmax(np.diff(places) < 1e-6))
    a, b = world.frame(index), world.frame(index + 1)
    np.testing.assert_allclose(a.T_world_camera, b.T_world_camera, atol=1e-6)
    assert a.speed < 0.2


DISTORTED = {
    'plumb_bob': (-0.3, 0.1, 0.001, -0.001, -0.02),
    'rational_polynomial': (-0.25, 0.05, 0.0005, -0.0005, 0.01, 0.05, 0.02, 0.002),
    'equidistant': (-0.03, 0.01, -0.005, 0.001),
}


@pytest.mark.parametrize('model', DISTORTED)
def test_a_distorted_image_rectifies_to_the_pinhole_one(model):
    pinhole = Camera(480, 200, 280.0, 285.0, 235.0, 95.0)
    lens = dataclasses.replace(pinhole, distortion_model=model, distortion=DISTORTED[model])
    world = StreetDrive(StreetConfig(seed=7, camera=lens))
    distorted, straight = world.frame(15), world.seen_by(pinhole).frame(15)
    assert distorted.camera == lens
    raw = np.abs(distorted.image.astype(float) - straight.image).mean()
    image = rectify(distorted.image, lens, pinhole)
    # Away from depth edges and from what the lens did not see.
    seen = rectify(np.full_like(distorted.image, 255), lens, pinhole)[..., 0] == 255
    error = np.abs(image.astype(float) - straight.image).mean(-1)
    assert seen.mean() > 0.7
    assert error[seen].mean() < 4.5
    assert error[seen].mean() < 0.4 * raw
    # Depth stays along Z on each distorted pixel's ray: it rectifies to the pinhole depth.
    D = np.array(lens.distortion)
    if model == 'equidistant':
        x, y = cv2.fisheye.initUndistortRectifyMap(
            lens.K, D, np.eye(3), pinhole.K, pinhole.size, cv2.CV_32FC1
        )
    else:
        x, y = cv2.initUndistortRectifyMap(lens.K, D, None, pinhole.K, pinhole.size, cv2.CV_32FC1)
    depth = cv2.remap(distorted.depth, x, y, cv2.INTER_NEAREST)
    finite = seen & np.isfinite(straight.depth) & np.isfinite(depth)
    relative = np.abs(depth[finite] / straight.depth[finite] - 1)
    assert np.median(relative) < 0.005


def test_predicting_without_looking_scores_badly():
    """A constant depth gets Abs Rel 0.35 or more, the mean of each row 0.20 or more."""
    depths = [
        drive(160, 48, seed=seed, frames=60).frame(index).depth
        for seed in range(100, 106)
        for index in (10, 50)
    ]
    truth = np.array([np.where(depth <= 80, depth, np.nan) for depth in depths])
    rows = np.nan_to_num(np.nanmean(truth, axis=(0, 2)), nan=80.0)
    for guess, least in ((np.ones(48), 0.35), (rows, 0.20)):
        scores = []
        for depth in truth:
            valid = np.isfinite(depth)
            scaled = np.broadcast_to(guess[:, None], depth.shape)[valid]
            scaled = np.clip(scaled * np.median(depth[valid]) / np.median(scaled), 0, 80)
            scores.append(np.mean(np.abs(scaled - depth[valid]) / depth[valid]))
        assert np.mean(scores) >= least


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'frames': 0}, 'frames is 0'),
        ({'convoy': 1.5}, 'convoy is 1.5'),
        ({'queue': -1}, 'queue is -1'),
        ({'queue': 3, 'convoy': 0.5}, 'queue is 3 and convoy 0.5'),
        ({'jam': True, 'convoy': 0.5}, 'jam is set and convoy is 0.5'),
        ({'rate': float('nan')}, 'rate is nan'),
        ({'standstill': 1.0}, 'standstill is 1.0'),
    ],
)
def test_an_impossible_drive_is_refused_by_name(fields, words):
    with pytest.raises(SimulationError, match=words):
        StreetConfig(**fields)


def test_a_frame_that_does_not_exist_is_refused():
    with pytest.raises(SimulationError, match=r'frame 7 .* 0 to 4'):
        drive(32, 16, frames=5).frame(7)


def test_a_lens_that_looks_behind_itself_is_refused():
    camera = Camera(640, 480, 60.0, 60.0, 320.0, 240.0, 'equidistant', (0.1, 0.0, 0.0, 0.0))
    with pytest.raises(SimulationError, match='equidistant'):
        StreetDrive(StreetConfig(camera=camera))
