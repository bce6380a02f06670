"""Benchmarks run, compare what they say they compare, and never take a figure from thin air."""

import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pytest

from semdepth_ros.benchmarks import cloud, networks, pac
from semdepth_ros.benchmarks.measure import (
    Timing,
    added_process_mib,
    peak_array_mib,
    peak_tensor_mib,
    take_turns,
)
from semdepth_ros.benchmarks.report import Report, Row, machine
from semdepth_ros.commands.benchmark import BENCHMARKS, main


def test_candidates_take_turns_and_none_always_follows_the_same_neighbour():
    order = []
    timings = take_turns({n: lambda n=n: order.append(n) for n in 'abc'}, rounds=3, warm_up=1)
    assert ''.join(order) == 'abc' + 'abc' + 'bca' + 'cab'
    assert {name: len(timing.seconds) for name, timing in timings.items()} == dict.fromkeys(
        'abc', 3
    )


def test_a_ratio_is_the_median_of_pairs_so_that_drift_cancels():
    slow, fast = Timing((2.0, 20.0, 200.0)), Timing((1.0, 10.0, 100.0))
    assert fast.ratio_of(slow) == 2
    assert slow.ratio_of(fast) == 0.5
    assert fast.median_ms == 10_000


def test_peak_memory_counts_what_is_held_at_once():
    import torch

    def two_after_another():
        for _ in range(2):
            torch.zeros(1 << 18)

    def two_at_once():
        return [torch.zeros(1 << 18) for _ in range(2)]

    assert peak_tensor_mib(two_after_another) == pytest.approx(1, abs=0.1)
    assert peak_tensor_mib(two_at_once) == pytest.approx(2, abs=0.1)
    assert peak_array_mib(lambda: np.zeros(1 << 20, np.uint8)) == pytest.approx(1, abs=0.1)


def test_the_growth_of_the_process_is_seen():
    def grow():
        block = np.ones(64 << 20, np.uint8)
        time.sleep(0.05)
        return block

    grown = added_process_mib(grow)
    if grown is None:
        pytest.skip('this system does not tell the size of a process')
    assert grown > 30


def test_a_row_meets_all_its_targets_or_none():
    row = Row('x').must('a', True).must('b', False).must('c', True)
    assert row.met is False
    assert row.target == 'a, b, c'
    assert Row('x').met is None


def test_json_rows_hold_what_the_readme_promises(tmp_path):
    baseline, ours = Timing((0.2, 0.2)), Timing((0.1, 0.1))
    row = Row.timed('ours', ours, ('theirs', baseline), 3.0, 1e-6)
    Report('x', (row,), ('a note',)).write_json(tmp_path / 'x.json')
    content = json.loads((tmp_path / 'x.json').read_text())
    stored = content['rows'][0]
    assert {
        'name': 'ours', 'baseline': 'theirs', 'ratio': 2.0, 'median_ms': 100.0, 'memory_mib': 3.0,
        'max_error': 1e-6,
    }.items() <= stored.items()  # fmt: skip
    assert content['machine']['versions']['torch']
    assert content['machine'].keys() == machine().keys()


def test_the_cloud_benchmark_compares_equal_clouds():
    report = cloud.measure(width=1280, height=400, rounds=2)
    errors = [row.max_error for row in report.rows if row.max_error is not None]
    assert len(errors) == 2 and max(errors) < 1e-4
    assert 'memcpy' in report.table()


def test_the_pac_benchmark_compares_equal_convolutions():
    report = pac.measure(cases=((4, 12, 20, 3),), rounds=1)
    errors = [row.max_error for row in report.rows if row.max_error is not None]
    assert len(errors) >= 3 and max(errors) < 1e-4


def test_the_network_benchmark_compares_equal_networks_and_counts_fewer_operations():
    report = networks.measure(((32, 64),), 1, (16, 16, 16, 16, 16), 2)
    fused = report.rows[-1]
    assert fused.max_error < 1e-5
    assert fused.target is not None


def test_the_node_benchmark_runs_every_stage_at_both_output_sizes(monkeypatch):
    pytest.importorskip('rclpy')
    from semdepth_ros.demo.domain import claim_domain
    from semdepth_ros.ros import benchmark as node

    monkeypatch.setenv('ROS_DOMAIN_ID', str(claim_domain()))
    report = node.measure(width=320, height=180, network=(96, 32), rounds=3, seconds=1.0)
    names = [row.name for row in report.rows]
    for size in ('network size (96x32)', 'image size (320x180)'):
        assert f'{size}: own share' in names and f'{size}: cloud' in names
    assert all(row.median_ms > 0 for row in report.rows)
    (own,) = (row for row in report.rows if row.name == 'network size (96x32): own share')
    assert own.baseline == 'bare publish()' and own.met is not None
    assert any('cloud to another process, shipped profile: ' in name for name in names)
    assert any(name.startswith('image to depth at 10 Hz') for name in names)


def test_the_engine_benchmark_has_every_engine_here_and_growing_images(tiny_weights):
    pytest.importorskip('onnxruntime')
    from semdepth_ros.benchmarks import engines
    from semdepth_ros.weights import load

    report = engines.measure(load(tiny_weights), False, (2,), ((64, 32), (128, 64)), rounds=1)
    names = [row.name for row in report.rows]
    assert names[0] == 'default network, eager torch, 320x96'
    assert 'default network, onnxruntime on cpu, float32' in names
    small, large = (row for row in report.rows if row.name.startswith('default network at '))
    assert small.met is not None and small.baseline is None
    assert large.name.startswith('default network at 128x64') and large.baseline == '64x32'
    assert any('2 camera(s) in one batch' in name for name in names)


def test_the_page_shows_the_figures_of_the_json_files():
    folder = Path(__file__).resolve().parents[2] / 'docs'
    path = folder / 'benchmarks' / 'page.py'
    spec = importlib.util.spec_from_file_location('page', path)
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    found = page.read()
    assert found, 'no figures were kept'
    assert (folder / 'benchmarks' / 'tables.md').read_text() == page.tables(found)
    assert (folder / 'images' / 'benchmarks.svg').read_text() == page.picture(found)


def test_every_benchmark_has_a_module_and_a_line_of_help(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    text = capsys.readouterr().out
    assert all(name in text for name in BENCHMARKS)


@pytest.mark.parametrize('argv', [['data'], ['cloud', '--bag', 'x'], ['cloud', '--weights', 'x']])
def test_arguments_that_do_not_belong_are_refused(argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
