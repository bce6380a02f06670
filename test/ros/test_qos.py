"""Rule 5: quality of service."""

import pytest

pytest.importorskip('rclpy')

from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy

from semdepth_ros.ros import qos

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize(
    ('offered', 'expected'),
    [
        ([], BEST_EFFORT),
        ([RELIABLE], RELIABLE),
        ([RELIABLE, RELIABLE], RELIABLE),
        ([RELIABLE, BEST_EFFORT], BEST_EFFORT),
        ([BEST_EFFORT], BEST_EFFORT),
    ],
)
def test_rule_5_auto_is_reliable_only_if_every_publisher_found_is(offered, expected):
    assert qos.chosen_reliability('auto', offered) == expected


@pytest.mark.parametrize(
    ('wanted', 'expected'), [('reliable', RELIABLE), ('best_effort', BEST_EFFORT)]
)
def test_a_named_reliability_is_taken_whatever_is_offered(wanted, expected):
    assert qos.chosen_reliability(wanted, [RELIABLE, BEST_EFFORT]) == expected


def test_rule_5_outputs_are_reliable_and_keep_the_last_one():
    profile = qos.output_qos()
    assert (profile.reliability, profile.history, profile.depth) == (
        RELIABLE,
        HistoryPolicy.KEEP_LAST,
        1,
    )
    assert profile.durability == DurabilityPolicy.VOLATILE
    assert qos.output_qos(latched=True).durability == DurabilityPolicy.TRANSIENT_LOCAL
