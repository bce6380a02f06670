"""What a soak makes of its samples."""

import mmap
import os

import numpy as np
import pytest

from semdepth_ros.benchmarks.soak import Usage, judge, slope_per_hour, usage

COUNTS = {'received': 100, 'published': 60, 'replaced': 39, 'failed': 0, 'unheard': 0,
          'unmatched': 0, 'discarded': 0}  # fmt: skip


def samples(minutes, growth=0.0, noise=0.0, descriptors=20):
    rng = np.random.default_rng(0)
    seconds = np.arange(0, minutes * 60 + 1.0)
    return [
        Usage(s, 400 + growth * s / 3600 + noise * rng.standard_normal(), descriptors, 9)
        for s in seconds
    ]


def row(report, start):
    return next(r for r in report.rows if r.name.startswith(start))


@pytest.mark.parametrize('growth', [-3.0, 0.0, 30.0])
def test_the_slope_is_found_and_its_bound_lies_above_it(growth):
    taken = samples(60, growth, noise=1.0)
    slope, bound = slope_per_hour([s.seconds for s in taken], [s.resident_mib for s in taken])
    assert slope == pytest.approx(growth, abs=0.5)
    assert slope < bound < slope + 0.5


def test_the_bound_is_kept_19_times_in_20_for_a_process_that_does_not_grow():
    rng = np.random.default_rng(1)
    seconds = np.arange(1200.0)
    kept = sum(slope_per_hour(seconds, rng.standard_normal(1200))[1] >= 0 for _ in range(400))
    assert 0.92 < kept / 400 < 0.98


@pytest.mark.parametrize(('growth', 'met'), [(0.0, True), (3.0, True), (5.0, False)])
def test_an_hour_is_judged_by_its_growth_and_five_minutes_are_not(growth, met):
    name = 'memory slope, upper'
    hour = judge(samples(60, growth, 0.1), [0.05], 100, 0, COUNTS, warm_up=600)
    assert row(hour, name).met is met
    minutes = judge(samples(5, growth, 0.1), [0.05], 100, 0, COUNTS, warm_up=60)
    assert row(minutes, name).met is None


def test_stale_frames_lost_frames_and_open_files_are_missed_targets():
    good = judge(samples(5), [0.05], 100, 0, COUNTS, warm_up=60)
    assert all(r.met is not False for r in good.rows)
    assert row(judge(samples(5), [0.05], 100, 1, COUNTS, 60), 'stale').met is False
    lost = COUNTS | {'published': 50}
    assert row(judge(samples(5), [0.05], 100, 0, lost, 60), 'frames in no').met is False
    leak = [*samples(5)[:-1], Usage(300.0, 400.0, 40, 9)]
    assert row(judge(leak, [0.05], 100, 0, COUNTS, 60), 'descriptors, end').met is False


def test_the_report_is_a_table_and_json(tmp_path):
    report = judge(samples(5), [0.05, 0.06], 100, 0, COUNTS, warm_up=60)
    assert '| stale frames' in report.table()
    report.write_json(tmp_path / 'soak.json')
    assert '"resident_mib"' in (tmp_path / 'soak.json').read_text()


def test_usage_counts_what_a_process_holds():
    before = usage(os.getpid(), 0.0)
    held = [open(os.devnull) for _ in range(10)]
    # Pages from the system: the allocator may have that much at hand.
    block = mmap.mmap(-1, 20 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.write(bytes(20 << 20))
    after = usage(os.getpid(), 1.0)
    assert after.descriptors >= before.descriptors + 10
    assert after.resident_mib >= before.resident_mib + 15
    for file in held:
        file.close()
    block.close()
