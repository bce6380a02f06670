"""Cameras that stop, restart, stutter and contradict each other: no lie, no end, no silence.

Every test ends with a good frame and with `Stage.assert_honest`: each depth image and cloud was
made of the picture whose stamp and frame_id it carries. The guard of that, for all tests here, is
`Worker._publish` (semdepth_ros/ros/worker.py), which takes the header from the very frame that the
prediction was made of.
"""

import dataclasses
import os
import random
import re
import signal
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')

from fault_harness import CAMERA, DEPTH, DEPTH_INFO, FRAME, stamp_of
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import header, image_array, info
from sensor_msgs.msg import CameraInfo, Image


def camera_message(stage):
    entry = stage.bench.status('camera')
    return '' if entry is None else entry.message


def counts(stage):
    """Return all counts of the camera once no frame is on its way."""
    bench = stage.bench
    bench.diagnostics.clear()
    bench.until(lambda: bench.value('camera', 'waiting') == '0', 'settled counts')
    names = ('received', 'published', 'replaced', 'failed', 'unheard', 'unmatched', 'discarded')
    return {name: int(bench.value('camera', name)) for name in names}


def test_a_camera_that_stops_and_comes_back_is_missed_and_then_heard_again(stage):
    """Guard: `CameraInput.silence` (inputs.py)."""
    bench = stage.bench
    bench.silence('/image', '/camera_info')
    bench.until(lambda: re.match(r'no image for \d+ s on /image', camera_message(stage)), 'words')
    heard = len(bench.heard[DEPTH])
    bench.spin(0.3)
    assert len(bench.heard[DEPTH]) == heard
    stage.good_frame()

    def is_well():
        bench.show(*stage.picture())
        bench.spin(0.1)
        return camera_message(stage) == 'publishing'

    bench.until(is_well, 'an end of the fault')


@pytest.mark.parametrize(
    ('camera', 'frame_id'),
    [
        (dataclasses.replace(CAMERA, width=640, height=192, cx=319.5, cy=95.5, fx=400, fy=400),
         FRAME),
        (dataclasses.replace(CAMERA, fx=300.0, fy=300.0), FRAME),
        (CAMERA, 'another_camera'),
    ],
    ids=['size', 'intrinsics', 'frame_id'],
)  # fmt: skip
def test_a_publisher_may_restart_as_another_camera(stage, camera, frame_id):
    """Guard: `CameraInput.camera` (inputs.py) asks for the newest camera_info with every frame."""
    bench = stage.bench
    bench.silence('/image', '/camera_info')
    bench.spin(0.2)
    stage.good_frame(camera, frame_id)
    bench.until(lambda: bench.heard[DEPTH_INFO], 'camera_info')
    stage.assert_honest()
    assert bench.heard[DEPTH][-1].header.frame_id == frame_id
    bench.silence('/image', '/camera_info')


def test_a_publisher_may_restart_with_another_encoding(stage):
    """Guard: `message_to_rgb` (messages.py) asks every message for its encoding."""
    bench = stage.bench
    bench.silence('/image', '/camera_info')
    first = header(stage.next_stamp()).stamp

    def frame(number):
        message, camera_info = stage.picture()
        rgb = image_array(message)
        message.encoding = 'bgr8'
        message.data = type(message.data)('B', rgb[..., ::-1].tobytes())
        return message, camera_info

    bench.show_until(
        frame, lambda: any(s > (first.sec, first.nanosec) for s in stage.stamps()), 'depth of bgr8'
    )
    stage.assert_honest()


def test_stamps_that_stand_still_are_said_and_the_frames_published(stage):
    """Guard: `DepthNode._take_image` (depth_node.py), its branch for an equal stamp."""
    bench = stage.bench
    still = stage.next_stamp()
    wanted = stamp_of_seconds(still)
    bench.show_until(
        lambda number: stage.picture(stamp=still),
        lambda: stage.stamps().count(wanted) >= 3,
        'three frames of one stamp',
    )
    words = r'/image: stamps stand still at \d+\.\d+ s'
    bench.until(lambda: re.search(words, stage.node.log), words)
    bench.until(lambda: re.search(words, bench.value('camera', 'last warning')), words)


def stamp_of_seconds(stamp):
    made = header(stamp).stamp
    return made.sec, made.nanosec


def test_stamps_that_jump_back_are_published_as_they_are(stage):
    """Guard: `Worker._publish` (worker.py) copies the stamp, whatever came before it."""
    back = stage.next_stamp() - 500
    stage.bench.show_until(
        lambda number: stage.picture(stamp=back + number / 10),
        lambda: any(s < stamp_of_seconds(back + 300) for s in stage.stamps()),
        'depth of an earlier stamp',
    )
    words = r'/image: stamps jump back by \d+\.\d+ s'
    stage.bench.until(lambda: re.search(words, stage.node.log), words)


def test_in_a_burst_of_100_hz_every_frame_is_published_or_counted(stage):
    """Guard: `DepthNode._post` (depth_node.py) counts what `Mailbox.put` replaces; nothing is
    queued, so that the newest frame is published soon after the burst."""
    bench = stage.bench
    before = counts(stage)
    stage.node.fault('slow')
    for _ in range(200):
        bench.show(*stage.picture())
        bench.spin(0.01)
    last = max(stage.shown)
    after = counts(stage)
    grown = {name: after[name] - before[name] for name in after}
    assert grown.pop('received') == sum(grown.values()) > 0
    assert grown['published'] > 0 and grown['replaced'] > 0
    assert max(stage.stamps()) <= last
    stamps = stage.stamps()
    assert stamps == sorted(set(stamps))


STALLED = """
import sys, rclpy
from sensor_msgs.msg import Image, PointCloud2
rclpy.init()
node = rclpy.create_node('stalled')
said = lambda message: print(message.header.stamp.sec, flush=True)
node.create_subscription(Image, '/depth_node/depth/image_rect', said, 1)
node.create_subscription(PointCloud2, '/depth_node/points', said, 1)
rclpy.spin(node)
"""


def test_a_subscriber_that_stalls_holds_nobody_up_and_goes_on_when_it_wakes(stage):
    """Guard: `CameraOutputs._send` (outputs.py) publishes and waits for nobody: with a wait for
    acknowledgements the sixty frames do not come."""
    bench = stage.bench
    with subprocess.Popen([sys.executable, '-c', STALLED], stdout=subprocess.PIPE) as process:
        os.set_blocking(process.stdout.fileno(), False)
        try:
            bench.show_until(lambda n: stage.picture(), process.stdout.read, 'a first message')
            process.send_signal(signal.SIGSTOP)
            heard = len(bench.heard[DEPTH])
            bench.show_until(
                lambda n: stage.picture(),
                lambda: len(bench.heard[DEPTH]) >= heard + 60,
                'sixty frames while one subscriber is stopped',
                period=0.03,
            )
            process.stdout.read()
            process.send_signal(signal.SIGCONT)
            bench.show_until(lambda n: stage.picture(), process.stdout.read, 'messages again')
        finally:
            process.kill()


def test_two_publishers_on_one_topic_get_each_their_own_header(stage):
    """Guard: `Worker._publish` (worker.py) takes the header from the frame in hand."""
    bench = stage.bench
    second = bench.node.create_publisher(Image, '/image', 5)
    try:

        def both(number):
            message, camera_info = stage.picture(frame_id='other')
            camera_info.header = message.header
            second.publish(message)
            bench.spin(0.05)
            return stage.picture()

        bench.show_until(
            both,
            lambda: {m.header.frame_id for m in bench.heard[DEPTH]} >= {'other', FRAME},
            'depth of both',
        )
        stage.assert_honest()
    finally:
        bench.node.destroy_publisher(second)


def test_camera_info_that_comes_late_is_waited_for_and_the_newest_image_kept(stage):
    """Guard: `CameraInput._take_info` (inputs.py) hands on the image that waited for it."""
    bench = stage.bench
    assert bench.change('deactivate') and bench.change('activate')
    bench.until(lambda: listens(bench, '/image'), 'the subscription')
    images = bench.publisher(Image, '/image')
    before = int(bench.value('camera', 'received'))
    while int(bench.value('camera', 'received')) < before + 2:
        message, camera_info = stage.picture()
        images.publish(message)
        bench.spin(0.2)
    # The one that waits is the newest that the node has heard.
    bench.spin(0.3)
    assert stamp_of(message.header) not in stage.stamps()
    camera_info.header = message.header
    bench.publisher(CameraInfo, '/camera_info').publish(camera_info)
    bench.until(lambda: stamp_of(message.header) in stage.stamps(), 'the image that waited')


def listens(bench, topic):
    found = bench.node.get_subscriptions_info_by_topic(topic)
    return any(s.node_name == 'depth_node' for s in found)


def test_camera_info_that_changes_all_the_time_goes_with_the_depth_made_by_it(stage):
    """Guard: `CameraInput.camera` (inputs.py) asks for the newest camera_info with every frame, and
    `CameraOutputs.publish` (outputs.py) takes camera_info from the result that depth is in."""
    bench = stage.bench
    zooms = [dataclasses.replace(CAMERA, fx=f, fy=f) for f in (150.0, 200.0, 260.0)]
    bench.show_until(
        lambda number: stage.picture(zooms[number % 3]),
        lambda: {m.k[0] for m in bench.heard[DEPTH_INFO]} >= {150.0, 200.0, 260.0},
        'depth of all three',
        period=0.05,
    )
    stage.assert_honest()


def test_camera_info_of_another_size_is_an_error_until_it_fits_again(stage):
    """Guard: `CameraInput.camera` (inputs.py) compares the sizes."""
    bench = stage.bench
    wrong = info(CAMERA.resized(640, 480))
    stamps = []

    def contradiction(number):
        message, _ = stage.picture()
        stamps.append(stamp_of(message.header))
        return message, wrong

    words = 'image is 320x96, but /camera_info says 640x480'
    bench.show_until(contradiction, lambda: words in camera_message(stage), words)
    # The first image may have met the camera_info before.
    assert not {*stamps[1:]} & {*stage.stamps()}


def test_transitions_in_any_order_over_services_end_where_the_diagram_says(stage):
    """Guard: the callbacks of `DepthNode` (depth_node.py) return SUCCESS only when their state is
    reached; `_stop` and `_release` leave nothing behind that would break the next one."""
    bench = stage.bench
    diagram = {
        ('unconfigured', 'configure'): 'inactive',
        ('inactive', 'activate'): 'active',
        ('active', 'deactivate'): 'inactive',
        ('inactive', 'cleanup'): 'unconfigured',
    }
    labels = sorted({label for _, label in diagram})
    state = 'active'
    walk = random.Random(1)
    for _ in range(30):
        label = walk.choice(labels)
        reached = diagram.get((state, label))
        assert bench.change(label) == (reached is not None), (state, label)
        state = reached or state
        assert bench.state() == state
    for label in {'unconfigured': ['configure', 'activate'], 'inactive': ['activate']}.get(
        state, []
    ):
        assert bench.change(label)


def test_parameters_set_while_the_node_loads_are_answered_and_fit_its_state(stage):
    """Guard: `parameters.updated` (parameters.py) refuses what only an unconfigured node takes,
    also to a request that was sent before the node was configured."""
    bench = stage.bench
    assert bench.change('deactivate') and bench.change('cleanup')
    configure = bench.node.create_client(ChangeState, '/depth_node/change_state')
    set_parameters = bench.node.create_client(
        SetParametersAtomically, '/depth_node/set_parameters_atomically'
    )
    for client in (configure, set_parameters):
        bench.until(client.service_is_ready, 'services')

    def setting(name, value):
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParametersAtomically.Request(parameters=[parameter])
        return set_parameters.call_async(request)

    loads = stage.node.log.count('loading weights')
    request = ChangeState.Request(transition=Transition(label='configure'))
    configured = configure.call_async(request)
    bench.until(lambda: stage.node.log.count('loading weights') > loads, 'the load')
    loading = [setting('stride', 2), setting('fit', 'pad'), setting('stride', 99)]
    bench.until(lambda: configured.done() and all(f.done() for f in loading), 'all answers')
    for client in (configure, set_parameters):
        bench.node.destroy_client(client)
    stride, fit, nonsense = (future.result().result for future in loading)
    assert configured.result().success
    assert stride.successful and not nonsense.successful
    assert not fit.successful and 'only while the node is unconfigured' in fit.reason
    assert bench.change('activate')
    stage.good_frame()
    assert bench.heard[DEPTH][-1].width == CAMERA.width // 2
    assert bench.set(stride=1)[0]


def test_parameters_set_under_load_apply_to_whole_frames(stage):
    """Guard: `CameraOutputs.publish` (outputs.py): camera_info and depth of one `FrameResult`."""
    bench = stage.bench
    sizes = {1: (320, 96), 2: (160, 48), 4: (80, 24)}
    service = '/depth_node/set_parameters_atomically'
    client = bench.node.create_client(SetParametersAtomically, service)
    bench.until(client.service_is_ready, service)
    answers = []
    for number in range(120):
        stride = (1, 2, 4)[number // 4 % 3]
        parameter = Parameter('stride', value=stride).to_parameter_msg()
        answers.append(client.call_async(SetParametersAtomically.Request(parameters=[parameter])))
        bench.show(*stage.picture())
        bench.spin(0.02)
    bench.until(lambda: all(answer.done() for answer in answers), 'all answers')
    assert all(answer.result().result.successful for answer in answers)
    bench.node.destroy_client(client)
    shapes = {s: (m.width, m.height) for s, m in zip(stage.stamps(DEPTH_INFO),
                                                    bench.heard[DEPTH_INFO])}  # fmt: skip
    assert {*shapes.values()} <= {*sizes.values()}
    for message in bench.heard[DEPTH]:
        expected = shapes.get(stamp_of(message.header))
        assert expected in (None, (message.width, message.height))
    assert bench.set(stride=1)[0]


def test_a_late_listener_hears_no_frame_of_the_past(stage):
    """Guard: `output_qos` (qos.py) is volatile: nobody is told an old frame again.

    The listener asks for what was sent before it came, which a latched publisher would send.
    """
    bench = stage.bench
    heard = []
    bench.spin(0.3)
    newest = max(stage.stamps())
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    late = bench.node.create_subscription(Image, DEPTH, heard.append, latched)
    bench.spin(2.0)
    assert not [m for m in heard if stamp_of(m.header) <= newest]
    bench.node.destroy_subscription(late)
