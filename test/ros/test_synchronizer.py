"""The same behaviour with message_filters and with the synchroniser that stands in for it."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time

from semdepth_ros.ros import synchronizer

KINDS = {
    'message_filters': synchronizer.MessageFiltersSynchronizer,
    'own': synchronizer.StampSynchronizer,
}


@pytest.fixture(params=sorted(KINDS))
def make(request):
    if request.param == 'message_filters':
        pytest.importorskip('message_filters')

    def make(cameras, slop=0.02, depth=5):
        matched = []
        return KINDS[request.param](cameras, slop, depth, matched.append), matched

    return make


def frame(seconds, name=''):
    sec, nanosec = divmod(round(seconds * 1e9), 10**9)
    header = SimpleNamespace(stamp=Time(sec=sec, nanosec=nanosec))
    return SimpleNamespace(header=header, name=name)


def test_equal_stamps_match_once_in_the_order_of_the_cameras(make):
    sync, matched = make(2)
    left, front = frame(1.0, 'left'), frame(1.0, 'front')
    sync.add(1, left)
    assert matched == []
    sync.add(0, front)
    assert matched == [(front, left)]
    assert sync.unmatched == [0, 0]


def test_stamps_within_the_slop_match_and_others_do_not(make):
    sync, matched = make(2)
    sync.add(0, frame(1.0))
    sync.add(1, frame(1.015))
    sync.add(0, frame(2.0))
    sync.add(1, frame(2.03))
    assert [[m.header.stamp.sec for m in one] for one in matched] == [[1, 1]]


def test_three_cameras_wait_for_the_last_one(make):
    sync, matched = make(3)
    sync.add(0, frame(1.0))
    sync.add(2, frame(1.001))
    assert not matched
    sync.add(1, frame(1.002))
    assert len(matched) == 1


def test_the_nearest_partner_is_taken(make):
    sync, matched = make(2)
    sync.add(0, frame(1.000, 'far'))
    sync.add(0, frame(1.015, 'near'))
    sync.add(1, frame(1.014))
    assert [m.name for m in matched[0]] == ['near', '']


def test_images_without_a_partner_are_dropped_oldest_first_and_counted(make):
    sync, matched = make(2, depth=3)
    for number in range(5):
        sync.add(0, frame(number))
    assert sync.unmatched == [2, 0]
    sync.add(1, frame(4))
    assert len(matched) == 1
    # What waited is older than what matched; it stays until newer images push it out.
    for number in range(5, 9):
        sync.add(0, frame(number))
    assert sync.unmatched == [2 + 2 + 1, 0]


def test_after_a_jump_back_in_time_a_reset_lets_the_new_images_match(make):
    sync, matched = make(2, depth=3)
    for number in range(100, 103):
        sync.add(0, frame(number))
    sync.reset()
    sync.add(0, frame(1.0))
    sync.add(1, frame(1.0))
    assert len(matched) == 1
    assert sync.unmatched == [3, 0]


def test_without_message_filters_the_own_synchronizer_is_taken(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'message_filters', None)
    made = synchronizer.create_synchronizer(2, 0.02, 5, lambda batch: None)
    assert isinstance(made, synchronizer.StampSynchronizer)


def test_message_filters_are_taken_where_they_are_installed():
    pytest.importorskip('message_filters')
    made = synchronizer.create_synchronizer(2, 0.02, 5, lambda batch: None)
    assert isinstance(made, synchronizer.MessageFiltersSynchronizer)
