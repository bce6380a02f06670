"""An engine that raises, hangs, answers nonsense or finds no memory: said, survived, never hidden.

The rules that these tests hold the node to stand in docs/reliability.md.
"""

import re
import signal

import numpy as np
import pytest

pytest.importorskip('rclpy')

from fault_harness import DEPTH, stamp_of
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState


def engine(stage):
    """Return level and message of the engine's diagnostic."""
    entry = stage.bench.status('engine')
    return (None, '') if entry is None else (entry.level, entry.message)


def show(stage, shown, condition, what):
    """Show pictures, noting their stamps in `shown`, until the condition holds."""

    def frame(number):
        message, camera_info = stage.picture()
        shown.append(stamp_of(message.header))
        return message, camera_info

    return stage.bench.show_until(frame, condition, what)


def settle(stage):
    """Wait until no frame is on its way."""
    bench = stage.bench
    bench.diagnostics.clear()
    bench.until(lambda: bench.value('camera', 'waiting') == '0', 'settled counts')


def test_an_engine_that_raises_costs_its_frames_and_the_first_that_works_ends_the_error(stage):
    """Guard: `except Exception` in `Worker._process` and `_run` (worker.py); for the end of the
    error `FrameStatistics.published` (diagnostics.py)."""
    bench, shown = stage.bench, []
    settle(stage)
    stage.node.fault('raise')

    def complains():
        entry = bench.status('camera')
        return entry.level == entry.ERROR and 'RuntimeError: the driver' in entry.message

    show(stage, shown, complains, 'an ERROR that names the reason')
    assert not {*shown} & {*stage.stamps()}
    assert int(bench.value('camera', 'failed')) > 0
    stage.node.fault('')
    show(stage, [], lambda: bench.status('camera').message == 'publishing', 'an end of the error')
    assert 'RuntimeError: the driver' in bench.value('camera', 'last fault')


def test_depth_that_is_no_number_is_published_as_invalid_and_not_made_up(stage):
    """Guard: `depth_from_inverse` (postprocessing.py, kernels.py) keeps NaN NaN (REP 117)."""
    settle(stage)
    stage.node.fault('nan')
    shown = []
    show(stage, shown, lambda: {*shown} & {*stage.stamps()}, 'a depth image')
    (stamp, *_) = {*shown} & {*stage.stamps()}
    assert np.isnan(stage.depth_of(stamp)).all()


def test_an_engine_that_hangs_is_an_error_and_nothing_is_published_meanwhile(stage):
    """Guard: `busy_for` in `_engine_status` (health.py) for the ERROR. That the frame that was in
    its hands comes out under its own stamp: `Worker._publish` (worker.py)."""
    shown = []
    settle(stage)
    stage.node.fault('hang')
    words = r'the engine has not answered for \d+ s'

    def hangs():
        level, message = engine(stage)
        return level == b'\x02' and re.match(words, message)

    show(stage, shown, hangs, words)
    assert not {*shown} & {*stage.stamps()}
    stage.node.fault('')
    show(stage, [], lambda: engine(stage)[1] == 'ready', 'an end of the error')
    stage.assert_honest()


def test_a_frame_that_comes_back_after_deactivation_is_not_published(stage):
    """Guard: `_stopped` in `Worker._process` (worker.py)."""
    bench, shown = stage.bench, []
    settle(stage)
    stage.node.fault('hang')
    show(stage, shown, lambda: len(shown) > 5, 'pictures')
    bench.spin(0.5)
    client = bench.node.create_client(ChangeState, '/depth_node/change_state')
    bench.until(client.service_is_ready, 'the service')
    request = ChangeState.Request(transition=Transition(label='deactivate'))
    deactivated = client.call_async(request)
    # The subscription goes first: now the node waits for its engine.
    bench.until(lambda: not listens(bench, '/image'), 'the end of the subscription')
    stage.node.fault('')
    bench.until(deactivated.done, 'the answer')
    bench.node.destroy_client(client)
    assert deactivated.result().success
    bench.spin(0.5)
    assert not {*shown} & {*stage.stamps()}
    assert bench.change('activate')


def listens(bench, topic):
    found = bench.node.get_subscriptions_info_by_topic(topic)
    return any(s.node_name == 'depth_node' for s in found)


def test_a_hung_engine_is_left_behind_and_configure_makes_a_new_one(stage):
    """Guard: the patience of `DepthNode.on_deactivate` (depth_node.py), which lets go of the engine
    instead of waiting for it."""
    bench, shown = stage.bench, []
    settle(stage)
    stage.node.fault('hang')
    show(stage, shown, lambda: len(shown) > 5, 'pictures')
    bench.spin(0.5)
    assert not bench.change('deactivate')
    assert bench.state() == 'unconfigured'
    assert 'the engine did not answer for 5 s' in stage.node.log
    # The old engine wakes up: what it says is of no use to anybody.
    stage.node.fault('')
    assert bench.change('configure') and bench.change('activate')
    bench.spin(1.0)
    assert not {*shown} & {*stage.stamps()}


def test_out_of_memory_gets_one_smaller_attempt_that_keeps_the_metres(stage):
    """Guard: `Network.predict` (network.py), its handling of `is_out_of_memory`; the metres:
    the factor of two in `HalfSizeEngine.predict` (half_size.py)."""
    bench, shown = stage.bench, []
    settle(stage)
    stage.node.fault('out of memory')
    show(stage, shown, lambda: {*shown} & {*stage.stamps()}, 'depth at half size')
    # Without the factor, depth would be twice that of the picture.
    stage.assert_honest()
    words = 'the device ran out of memory at 320x96: the network sees half of that'
    bench.until(lambda: engine(stage) == (b'\x01', words), words)
    assert words in stage.node.log
    assert bench.heard[DEPTH][-1].width == 320
    again(stage)


def test_no_memory_at_all_is_one_smaller_attempt_and_then_a_clear_failure(stage):
    """Guard: `Network._no_room` (network.py): without it every frame would build an engine."""
    bench, shown = stage.bench, []
    settle(stage)
    attempts = stage.node.log.count('preparing engine')
    stage.node.fault('no memory at all')
    words = r'failed at half of 320x96 too, after it had run out of memory: CUDA out of memory'

    def fails():
        entry = bench.status('camera')
        return entry.level == entry.ERROR and re.search(words, entry.message)

    show(stage, shown, fails, words)
    show(stage, shown, lambda: int(bench.value('camera', 'failed')) > 5, 'failed frames')
    assert not {*shown} & {*stage.stamps()}
    assert stage.node.log.count('preparing engine') == attempts + 1
    again(stage)


def test_no_room_at_the_start_is_a_smaller_engine_with_a_warning(stage):
    """Guard: `Network._create_with_room` (network.py)."""
    bench = stage.bench
    assert bench.change('deactivate') and bench.change('cleanup')
    stage.node.fault('no room to start')
    assert bench.change('configure') and bench.change('activate')
    stage.good_frame()
    bench.until(lambda: 'the network sees half' in engine(stage)[1], 'the warning')
    again(stage)


def again(stage):
    """Configure anew, as the failure tells the user to."""
    stage.node.fault('')
    bench = stage.bench
    for label in ('deactivate', 'cleanup', 'configure', 'activate'):
        assert bench.change(label), label
    stage.good_frame()
    bench.until(lambda: engine(stage)[1] == 'ready', 'full size')


@pytest.mark.parametrize('number', [signal.SIGTERM])
def test_a_signal_ends_the_node_while_its_engine_hangs(node, bench, number):
    """Guard: `_end_at_the_latest` and the timeout of `DepthNode.close` (node.py). The engine never
    comes back: without them the process would not end.

    The last test of this file, because the node is gone after it.
    """
    from fault_harness import Stage

    stage = Stage(node, bench)
    stage.good_frame()
    settle(stage)
    node.fault('hang')
    show(stage, [], lambda: bench.value('camera', 'waiting') > '0', 'a frame in its hands')
    code, _ = node.stop(number)
    assert code == 0
    assert 'Traceback' not in node.log
