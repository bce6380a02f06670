import json

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

from semdepth_ros.bags.drive import Drive
from semdepth_ros.camera import Camera
from semdepth_ros.classes import VEHICLES
from semdepth_ros.networks.model import ModelConfig, build_model
from semdepth_ros.networks.pose import PoseNet
from semdepth_ros.simulation.bag import write_street_bag
from semdepth_ros.simulation.config import StreetConfig, default_camera
from semdepth_ros.simulation.drive import StreetDrive
from semdepth_training.frame_cache import CacheConfig, PreparedDrive
from semdepth_training.objective import LossConfig, Objective
from semdepth_training.resampling import (
    Judgement,
    ResamplingConfig,
    ResamplingError,
    below_ground,
    check_maturity,
    control,
    judge,
    write_dropped,
)
from semdepth_training.selection import SelectionConfig
from semdepth_training.stage_evaluation import drop_agreement, evaluate_stage
from semdepth_training.triplets import select_triplets, split

CAMERA = default_camera(160, 64)


@pytest.fixture(scope='module')
def street():
    drive = StreetDrive(StreetConfig(seed=3, frames=30, camera=CAMERA, traffic=0.6))
    return [drive.frame(index) for index in (0, 12, 24)]


def hole(depth_HW):
    """Return the depth with an infinitely deep hole where a car stood: below the horizon."""
    holed = depth_HW.copy()
    holed[44:52, 70:90] = 500.0
    return holed


def test_true_depth_has_nothing_under_the_ground(street):
    for frame in street:
        mask = below_ground(frame.depth, CAMERA, ResamplingConfig(), seed=0)
        assert mask is not None and mask.sum() == 0


def test_a_hole_in_the_road_is_found_pixel_by_pixel(street):
    for frame in street:
        mask = below_ground(hole(frame.depth), CAMERA, ResamplingConfig(), seed=0)
        assert mask is not None
        assert np.flatnonzero(mask.any(1))[[0, -1]].tolist() == [44, 51]
        assert mask.sum() == 160


@pytest.mark.parametrize('factor', [0.01, 0.37, 100.0])
def test_the_rule_does_not_depend_on_the_scale_of_depth(street, factor):
    for frame in street:
        depth = hole(frame.depth)
        expected = below_ground(depth, CAMERA, ResamplingConfig(), seed=0)
        assert np.array_equal(
            below_ground(depth * factor, CAMERA, ResamplingConfig(), seed=0), expected
        )


def test_noise_of_some_percent_is_no_hole(street):
    rng = np.random.default_rng(0)
    for frame in street:
        noisy = frame.depth * rng.normal(1, 0.08, frame.depth.shape)
        mask = below_ground(noisy, CAMERA, ResamplingConfig(), seed=0)
        assert mask is not None and mask.sum() == 0


def test_the_limit_scales_with_the_area_of_the_image():
    config = ResamplingConfig()
    assert config.limit(Camera(640, 192, 1, 1, 0, 0)) == 10
    assert config.limit(Camera(1280, 384, 1, 1, 0, 0)) == 40


class TrueDepth(nn.Module):
    """Answers with the inverse depth that it was given for the image it is shown."""

    def __init__(self):
        super().__init__()
        self.known = []

    def forward(self, image_B3HW):
        found = []
        for image in image_B3HW:
            errors = [(image - known).abs().mean() for known, _ in self.known]
            found.append(self.known[int(torch.stack(errors).argmin())][1])
        inv_depth = torch.stack(found)[:, None]
        return type('Output', (), {'inv_depths': (inv_depth,) * 4})


@pytest.fixture
def judged(write_bag, tmp_path):
    """Judge ten frames of which the depth of two has a hole."""
    config = CacheConfig('never', folder=str(tmp_path / 'cache'))
    drive = PreparedDrive(Drive(write_bag(count=12)), 96, 64, config)
    drive.prepare()
    triplets, _ = split([drive], [select_triplets(drive, SelectionConfig())], [], 0.0)
    camera = drive.fit.camera
    slope = np.clip(camera.rays()[..., 1], 1e-3, None)
    flat = (slope / 1.5).astype(np.float32)
    model = TrueDepth()
    for index in range(10):
        image = np.zeros((3, 64, 96, 3), np.uint8)
        triplets.read(index, image)
        inv_depth = flat.copy()
        if index in (3, 7):
            inv_depth[50:54, 40:44] = 0.002
        model.known.append(
            (torch.from_numpy(image[0]).permute(2, 0, 1) / 255, torch.from_numpy(inv_depth))
        )
    objective = Objective(model, PoseNet(), LossConfig(), camera.fx)
    rule = ResamplingConfig()
    judgement = judge(Fabric(accelerator='cpu', devices=1), objective, triplets, rule, seed=0)
    return judgement, objective, triplets, rule


def test_frames_with_a_hole_are_dropped_and_no_others(judged):
    judgement, _, _, _ = judged
    assert np.flatnonzero(judgement.dropped_N).tolist() == [3, 7]
    assert judgement.below_N[[3, 7]].tolist() == [16, 16]


def test_what_went_is_listed_with_the_reason_and_pictured(judged, tmp_path):
    judgement, objective, triplets, rule = judged
    folder = tmp_path / 'resampling'
    write_dropped(folder, judgement, objective, triplets, rule, 0, torch.device('cpu'))
    content = json.loads((folder / 'dropped.json').read_text())
    assert [(d['bag'], d['frame'], d['below']) for d in content['dropped']] == [
        ('drive', 4, 16),
        ('drive', 8, 16),
    ]
    assert content['frames'] == 10 and 'camera heights under the ground' in content['rule']
    assert sorted(p.name for p in folder.glob('*.png')) == ['drive_000004.png', 'drive_000008.png']


def test_the_control_drops_as_many_at_random():
    judgement = Judgement(np.zeros(50, int), np.arange(50) < 7, 'rule')
    a, b = control(judgement, 0), control(judgement, 0)
    assert a.sum() == 7 and np.array_equal(a, b)
    assert not np.array_equal(a, judgement.dropped_N)


def test_an_immature_stage_one_stops_the_run_with_the_reason():
    judgement = Judgement(np.full(10, 99), np.arange(10) < 4, 'dropped with more than 10 pixels')
    with pytest.raises(ResamplingError, match=r'would drop 40% of 10 frames.*at most 30%.*mature'):
        check_maturity(judgement, ResamplingConfig())
    check_maturity(judgement, ResamplingConfig(max_dropped_share=0.5))


def test_a_real_network_can_be_judged(write_bag, tmp_path):
    config = CacheConfig('never', folder=str(tmp_path / 'cache'))
    drive = PreparedDrive(Drive(write_bag(count=5)), 64, 32, config)
    drive.prepare()
    triplets, _ = split([drive], [select_triplets(drive, SelectionConfig())], [], 0.0)
    model = build_model(ModelConfig('efficientnet_lite0', {'decoder_channels': (4, 4, 8, 8, 8)}))
    objective = Objective(model, PoseNet(), LossConfig(), drive.fit.camera.fx)
    fabric = Fabric(accelerator='cpu', devices=1)
    a = judge(fabric, objective, triplets, ResamplingConfig(), seed=1)
    b = judge(fabric, objective, triplets, ResamplingConfig(), seed=1, batch=2)
    assert np.array_equal(a.below_N, b.below_N)


@pytest.fixture
def street_with_holes(tmp_path):
    """Give triplets of a street and a network that knows its depth, but for some vehicles.

    Vehicles are infinitely deep in frames 2 and 4 of those in which one is near.
    """
    drive = StreetDrive(StreetConfig(seed=3, frames=10, camera=CAMERA, traffic=0.6, convoy=1.0))
    write_street_bag(tmp_path / 'street', drive)
    config = CacheConfig('never', folder=str(tmp_path / 'cache'))
    prepared = PreparedDrive(Drive(tmp_path / 'street'), *CAMERA.size, config)
    prepared.prepare()
    triplets, _ = split([prepared], [select_triplets(prepared, SelectionConfig())], [], 0.0)
    model = TrueDepth()
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    for index in range(len(drive)):
        frame = drive.frame(index)
        depth = np.where(np.isfinite(frame.depth), frame.depth, 1e4)
        if index in (2, 4):
            depth[np.isin(frame.label, VEHICLES)] = 1e4
        prepared.read(index, image)
        model.known.append(
            (torch.from_numpy(image.copy()).permute(2, 0, 1) / 255, torch.from_numpy(1 / depth))
        )
    return Objective(model, PoseNet(), LossConfig(), CAMERA.fx), triplets


def test_dropped_frames_are_compared_with_those_of_infinite_depth(street_with_holes):
    objective, triplets = street_with_holes
    rule, device = ResamplingConfig(), torch.device('cpu')
    fabric = Fabric(accelerator='cpu', devices=1)
    judgement = judge(fabric, objective, triplets, rule, seed=0)
    # Frame 1 is the first in the middle of a triplet.
    assert np.flatnonzero(judgement.dropped_N).tolist() == [1, 3]
    found = drop_agreement(judgement, objective, triplets, rule, device)
    assert (found.frames, found.infinite, found.dropped, found.both) == (8, 2, 2, 2)
    wrong = Judgement(judgement.below_N, np.arange(8) < 2, 'rule')
    found = drop_agreement(wrong, objective, triplets, rule, device)
    assert (found.precision, found.recall) == (0.5, 0.5)


def test_a_stage_is_evaluated_by_class_where_the_bag_has_labels(street_with_holes):
    objective, triplets = street_with_holes
    evaluation = evaluate_stage(objective, triplets, torch.device('cpu'))
    assert evaluation.label_source == 'truth'
    assert 0 < evaluation.infinite_depth_rate < 1
    assert evaluation.modes['unscaled'].per_class['road'].metrics.abs_rel < 0.01


def test_drives_without_labels_have_no_agreement(judged):
    judgement, objective, triplets, rule = judged
    assert drop_agreement(judgement, objective, triplets, rule, torch.device('cpu')) is None
