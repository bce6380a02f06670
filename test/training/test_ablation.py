"""The ablation: three networks, two stages and a control, scored alike and put into one table."""

import json
from pathlib import Path

import cv2
import pytest

from semdepth_training import ablation, ablation_picture
from semdepth_training.build import build_objective
from semdepth_training.config import parse

CONFIG = """
freeze_batch_norm: true
data: {width: 96, height: 32}
model: {depth: efficientnet_lite0, depth_options: {decoder_channels: [4, 4, 8, 8, 8]}}
optimizer: {epochs: 1, batch: 2}
stage_two: {resampling: {max_dropped_share: 1.0, max_below_ground: 1.0e9}}
device: {accelerator: cpu, threads: 1}
"""


CONFIG_FILE = Path(__file__).resolve().parents[2] / 'config' / 'train' / 'ablation.yaml'


def test_the_three_networks_differ_in_their_guidance_alone():
    models = {}
    for variant, overrides in ablation.VARIANTS.items():
        given = ['--config', str(CONFIG_FILE), '--bags', 'a', '--output', 'b', *overrides]
        # The weights that they go on from are a training's; from random ones they start as equal.
        given += ['--pretrained.weights', '']
        objective, _ = build_objective(parse(given)[0], 130.0, 1.0)
        models[variant] = objective.model
    assert models['unguided'].guidance is None
    assert models['fixed kernel'].guidance.fixed_kernel
    assert not models['guided'].guidance.fixed_kernel
    depth = [dict(model.depth.named_parameters()) for model in models.values()]
    assert all((depth[0][name] == other[name]).all() for other in depth for name in depth[0])


def row(variant, seed, abs_rel, stage='stage_one', infinite=None):
    return {
        'variant': variant, 'seed': seed, 'stage': stage, 'group': 'streets', 'pixels': abs_rel,
        'classes': 0.5, 'vehicles': None, 'infinite depth': infinite, 'boundary F1': 0.0,
    }  # fmt: skip


def test_the_table_gives_mean_and_spread_over_the_seeds():
    rows = [row('guided', 0, 0.1), row('guided', 1, 0.3), row('unguided', 0, 0.25, infinite=0.02)]
    lines = ablation.table(rows, 'streets').splitlines()
    assert lines[2] == (
        '| unguided | one | 1 | 0.250 ± 0.000 | 0.500 ± 0.000 | – | 0.020 ± 0.000 | 0.000 ± 0.000 |'
    )
    assert lines[3].startswith('| guided | one | 2 | 0.200 ± 0.141 |')
    assert len(lines) == 4


def test_differences_are_of_networks_of_the_same_seed_and_stage():
    rows = [row('guided', 0, 0.1), row('guided', 1, 0.3)]
    rows += [row('unguided', 0, 0.12), row('unguided', 1, 0.34), row('unguided', 2, 9.0)]
    rows += [row('fixed kernel', 0, 0.09, stage='stage_two')]
    lines = ablation.differences(rows, 'streets').splitlines()
    assert len(lines) == 3
    assert lines[2].startswith('| unguided | one | 2 | -0.030 ± 0.014 | +0.000 ± 0.000 | – |')


def test_classes_that_occur_have_a_line_and_networks_a_column():
    rows = [
        row('guided', seed, 0.1) | {'per_class': {'car': car, 'road': 0.1}}
        for seed, car in ((0, 0.2), (1, 0.4))
    ]
    rows.append(row('unguided', 0, 0.1) | {'per_class': {'road': 0.2}})
    assert ablation.by_class(rows, 'streets').splitlines() == [
        '| class | unguided, one | guided, one |',
        '|---|---|---|',
        '| road | 0.200 ± 0.000 | 0.100 ± 0.000 |',
        '| car | – | 0.300 ± 0.141 |',
    ]


def test_groups_are_kept_apart():
    assert len(ablation.table([row('guided', 0, 0.1)], 'kitti').splitlines()) == 2


def test_figures_average_over_classes_and_over_vehicles():
    evaluation = {
        'median_scaled': {'abs_rel': 0.2},
        'per_class': {
            name: {'abs_rel': v} for name, v in (('road', 0.1), ('car', 0.2), ('bus', 0.6))
        },
        'infinite_depth_rate': 0.01,
        'boundaries': None,
    }
    found = ablation.figures(evaluation)
    assert found['pixels'] == 0.2
    assert found['classes'] == pytest.approx(0.3)
    assert found['vehicles'] == pytest.approx(0.4)
    assert found['boundary F1'] is None
    # An unguided network on a recording without labels has no classes.
    assert ablation.figures(evaluation | {'per_class': {}})['classes'] is None


def test_an_ablation_trains_scores_and_goes_on_where_it_was(street_bag, tmp_path, capfd):
    config = tmp_path / 'config.yaml'
    config.write_text(CONFIG)
    output = tmp_path / 'out'
    command = ['--config', str(config), '--bags', str(street_bag), '--output', str(output)]
    command += ['--test', 'streets', str(street_bag), '--seeds', '0', '--variants', 'unguided']
    command += ['--frames', 'streets', '0:2']
    assert ablation.main([*command, '--control']) == 0
    table = (output / 'table.md').read_text()
    assert '| unguided | two, dropped at random | 1 |' in table
    first = json.loads((output / 'rows.json').read_text())
    assert {found['stage'] for found in first} == set(ablation.STAGES)
    picture = tmp_path / 'picture.jpg'
    frames = ['--frames', f'{street_bag}:1', f'{street_bag}:4']
    assert (
        ablation_picture.main(['--ablation', str(output), *frames, '--output', str(picture)]) == 0
    )
    # A line of names, two frames; image, truth and the three stages of the one network.
    width, height = ablation_picture.SIZE
    assert cv2.imread(str(picture)).shape == (22 + 2 * height, 5 * width, 3)
    scored = json.loads((output / 'unguided_0' / 'stage_two' / 'streets.json').read_text())
    assert scored['frames'] == 2
    capfd.readouterr()
    assert ablation.main(command) == 0
    assert 'stage_one' not in capfd.readouterr().err
    without_control = [row for row in first if row['stage'] != ablation.RANDOM]
    assert json.loads((output / 'rows.json').read_text()) == without_control


def test_frames_of_a_group_that_is_none_are_refused(capsys):
    command = ['--config', 'c', '--bags', 'b', '--output', 'o', '--test', 'streets', 'bag']
    with pytest.raises(SystemExit):
        ablation.main([*command, '--frames', 'kitti', '0:2'])
    assert 'no group of --test is named kitti' in capsys.readouterr().err


def test_a_picture_of_nothing_is_refused(tmp_path, capsys):
    command = ['--ablation', str(tmp_path), '--frames', 'street:1', '--output', 'x.jpg']
    with pytest.raises(SystemExit):
        ablation_picture.main(command)
    assert f'{tmp_path} holds no networks of seed 0' in capsys.readouterr().err
