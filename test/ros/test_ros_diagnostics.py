"""Counts, ages and faults of frames."""

import pytest

pytest.importorskip('rclpy')

from semdepth_ros.ros.diagnostics import FrameStatistics


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_every_received_frame_is_in_one_count_or_still_waiting():
    statistics = FrameStatistics()
    statistics.count('received', 10)
    for name in ('replaced', 'failed', 'unheard', 'discarded'):
        statistics.count(name)
    statistics.set_unmatched(2)
    statistics.published(0.0, None)
    assert statistics.counts().waiting == 3


def test_rule_6_age_is_taken_by_the_given_clock_from_receipt_to_publication():
    clock = Clock()
    statistics = FrameStatistics(clock)
    for age in range(1, 101):
        clock.now = 1000.0 + age
        statistics.published(clock.now - age / 1000, None)
    values = statistics.values()
    assert float(values['age p50 [ms]']) == pytest.approx(50.5, abs=0.1)
    assert float(values['age p99 [ms]']) == pytest.approx(99, abs=0.2)
    assert 'age by stamp [ms]' not in values


def test_the_rate_is_that_of_publication_and_zero_once_it_is_over():
    clock = Clock()
    statistics = FrameStatistics(clock)
    for number in range(20):
        clock.now = 1000 + number / 10
        statistics.published(clock.now, 0.02)
    assert float(statistics.values()['rate [Hz]']) == pytest.approx(10, abs=0.1)
    assert statistics.values()['age by stamp [ms]'] == '20.0'
    clock.now += 5
    assert float(statistics.values()['rate [Hz]']) == 0


def test_a_fault_stands_until_the_next_frame_is_published_and_is_remembered():
    statistics = FrameStatistics()
    statistics.fault('encoding x is unknown')
    assert statistics.standing_fault() == 'encoding x is unknown'
    statistics.published(0.0, None)
    assert statistics.standing_fault() == ''
    assert statistics.values()['last fault'] == 'encoding x is unknown'
