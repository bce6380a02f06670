"""The node's contract, rule by rule, on one real process over DDS."""

import dataclasses
import re

import numpy as np
import pytest

pytest.importorskip('rclpy')

from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_harness import (
    CAMERA,
    NodeProcess,
    cloud_array,
    header,
    image,
    image_array,
    info,
    picture,
)
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Float32

from semdepth_ros.camera import Camera
from semdepth_ros.classes import SKY
from semdepth_ros.ros.topics import OUTPUTS

OUT = '/depth_node/'
KINDS = {
    'depth/image_rect': Image,
    'depth/camera_info': CameraInfo,
    'points': PointCloud2,
    'label_mask': Image,
    'label_mask/confidence': Image,
    'depth/image_color': Image,
    'label_mask/image_color': Image,
    'scale': Float32,
}
STAMPED = [name for name in KINDS if name != 'scale']
NETWORK_CAMERA = CAMERA.resized(320, 96)


@pytest.fixture(scope='module')
def node(bench, tiny_weights):
    process = NodeProcess(
        *('-p', f'weights:={tiny_weights}'),
        *('-p', 'engine:=torch', '-p', 'device:=cpu', '-p', 'precision:=float32'),
        *('-p', 'image_timeout:=1.0'),
    )
    yield process
    process.kill()


#: What a test can ask for that only an unconfigured node takes, and how it usually is.
USUAL = {
    'scale_source': 'weights',
    'camera_height': 0.0,
    'cameras': [''],
    'image_transport': 'raw',
}


@pytest.fixture
def stage(node, bench, request):
    """Give the running node with everything subscribed; the parameter says how it is configured."""
    stage = Stage(node, bench)
    stage.configure(**USUAL | getattr(request, 'param', {}))
    for name, kind in KINDS.items():
        bench.listen(kind, OUT + name)
    yield stage
    bench.set(output_size='network', stride=1, depth_encoding='32FC1', distortion='rectify')


def stamp_of(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


class Stage:
    """What tests do with the running node."""

    stamp = 1000.0
    configuration = USUAL

    def __init__(self, node, bench):
        self.node, self.bench = node, bench

    def next_stamp(self):
        Stage.stamp += 0.1
        return Stage.stamp

    def outputs(self, rgb=None, camera_info=None, encode=image):
        """Publish frames until one comes back; return its outputs by name."""
        rgb = picture() if rgb is None else rgb
        camera_info = info() if camera_info is None else camera_info
        for messages in self.bench.heard.values():
            messages.clear()

        def frame(number):
            return encode(rgb, self.next_stamp()), camera_info

        # Frames on their way may still have been made with other settings.
        start = header(self.stamp).stamp

        def whole():
            stamps = self.common_stamps()
            return {s for s in stamps if s > (start.sec, start.nanosec)}

        stamps = self.bench.show_until(frame, whole, 'all outputs of one frame')
        self.bench.until(lambda: self.bench.heard[OUT + 'scale'], 'the scale')
        found = {
            name: next(m for m in self.bench.heard[OUT + name] if stamp_of(m) == max(stamps))
            for name in STAMPED
        }
        return found | {'scale': self.bench.heard[OUT + 'scale'][-1]}

    def common_stamps(self):
        return set.intersection(*({*map(stamp_of, self.bench.heard[OUT + n])} for n in STAMPED))

    def count(self, name, camera='camera'):
        return int(self.bench.value(camera, name) or 0)

    def settled(self, camera='camera'):
        """Return all counts once no frame is on its way."""
        self.bench.until(lambda: self.count('received', camera), 'diagnostics')
        self.bench.diagnostics.clear()
        self.bench.until(lambda: self.bench.value(camera, 'waiting') == '0', 'settled counts')
        names = ('received', 'published', 'replaced', 'failed', 'unheard', 'unmatched', 'discarded')
        return {name: self.count(name, camera) for name in names}

    def configure(self, **values):
        """Have the node configured so and active."""
        if values == Stage.configuration:
            return
        bench = self.bench
        assert bench.change('deactivate') and bench.change('cleanup')
        changed = {n: v for n, v in values.items() if v != Stage.configuration[n]}
        # Together: each alone may contradict the others.
        assert bench.set(**changed)[0], changed
        Stage.configuration = values
        assert bench.change('configure') and bench.change('activate'), self.node.log

    def fault(self, make, text):
        """Show frames until the node complains in its log and in diagnostics; return the entry."""

        def complains():
            entry = self.bench.status('camera')
            return (
                entry is not None
                and entry.level == entry.ERROR
                and re.search(text, entry.message)
                and re.search(text, self.node.log)
                and entry
            )

        return self.bench.show_until(make, complains, text)


def test_rule_1_stamp_and_frame_of_the_image_are_on_every_output(stage):
    found = stage.outputs()
    for name, message in found.items():
        if name != 'scale':
            assert message.header.frame_id == 'camera_color_optical_frame', name
            assert 1000 < message.header.stamp.sec < 2000, name
    assert len({stamp_of(found[name]) for name in STAMPED}) == 1


def test_rule_1_no_transform_is_published(stage):
    topics = dict(stage.bench.node.get_publisher_names_and_types_by_node('depth_node', '/'))
    assert not any('tf' in name.split('/') for name in topics)


def test_every_topic_of_the_contract_is_offered_under_its_name_and_type(stage):
    topics = dict(stage.bench.node.get_publisher_names_and_types_by_node('depth_node', '/'))
    for topic in OUTPUTS:
        if topic.name == '~/label_info':
            continue
        name = topic.name.replace('~/', OUT)
        assert topics[name] == [topic.type.replace('/', '/msg/')], name


def test_rule_2_depth_is_finite_within_range_or_says_why_not(stage):
    found = stage.outputs()
    depth, label = image_array(found['depth/image_rect']), image_array(found['label_mask'])
    assert found['depth/image_rect'].encoding == '32FC1'
    finite = depth[np.isfinite(depth)]
    assert finite.size and finite.min() >= 0.5 and finite.max() <= 80
    assert np.isposinf(depth[label == SKY]).all()
    assert set(np.unique(label)) <= {*range(19), 255}


def test_rule_2_millimetres_are_the_same_depth_with_zero_for_what_is_not_finite(stage):
    metres = image_array(stage.outputs()['depth/image_rect'])
    assert stage.bench.set(depth_encoding='16UC1') == (True, '')
    message = stage.outputs()['depth/image_rect']
    assert message.encoding == '16UC1'
    millimetres = image_array(message)
    fits = np.isfinite(metres) & (metres < 65.535)
    assert fits.any()
    np.testing.assert_allclose(millimetres[fits], metres[fits] * 1000, atol=0.51)
    assert not millimetres[~fits].any()


@pytest.mark.parametrize(
    ('settings', 'camera'),
    [
        ({}, NETWORK_CAMERA),
        ({'stride': 3}, NETWORK_CAMERA.decimated(3)),
        ({'output_size': 'image'}, CAMERA),
        ({'output_size': 'image', 'stride': 2}, CAMERA.decimated(2)),
    ],
)
def test_rule_3_camera_info_has_size_k_and_p_of_all_outputs(stage, settings, camera):
    if settings:
        assert stage.bench.set(**settings)[0]
    found = stage.outputs()
    message = found['depth/camera_info']
    assert (message.width, message.height) == camera.size
    np.testing.assert_allclose(np.reshape(message.k, (3, 3)), camera.K, atol=1e-9)
    np.testing.assert_allclose(np.reshape(message.p, (3, 4))[:, :3], camera.K, atol=1e-9)
    for name in set(KINDS) - {'depth/camera_info', 'scale'}:
        assert (found[name].width, found[name].height) == camera.size, name


def test_the_cloud_is_aligned_with_the_depth_image_pixel_by_pixel(stage):
    found = stage.outputs()
    assert found['points'].is_dense is False
    points, depth = cloud_array(found['points']), image_array(found['depth/image_rect'])
    label = image_array(found['label_mask'])
    np.testing.assert_array_equal(points['label'], label)
    finite = np.isfinite(points['z'])
    assert finite.any() and not (finite & ~np.isfinite(depth)).any()
    np.testing.assert_allclose(points['z'][finite], depth[finite], rtol=1e-5)
    camera = Camera.from_camera_info(found['depth/camera_info'])
    xyz = np.stack([points[axis] for axis in 'xyz'], axis=-1).astype(np.float64)
    pixels = camera.project(xyz)
    rows, columns = np.nonzero(finite)
    np.testing.assert_allclose(pixels[finite], np.stack([columns, rows], 1), atol=0.01)


def test_rule_4_a_distorted_image_is_rectified_to_the_camera_of_p(stage):
    lens = dataclasses.replace(CAMERA, distortion=(-0.2, 0.03, 0.0, 0.0, 0.0))
    plain = stage.outputs()
    bent = stage.outputs(camera_info=info(lens))
    np.testing.assert_allclose(bent['depth/camera_info'].k, plain['depth/camera_info'].k)
    assert not any(bent['depth/camera_info'].d)
    # The corners of the rectified picture lie outside of the distorted one, or were moved.
    first, second = (image_array(f['depth/image_rect']) for f in (plain, bent))
    assert not np.array_equal(first, second, equal_nan=True)


def test_rule_4_a_fisheye_image_is_rectified(stage):
    lens = dataclasses.replace(
        CAMERA, distortion_model='equidistant', distortion=(0.05, 0.01, 0.0, 0.0)
    )
    assert (
        stage.outputs(camera_info=info(lens))['depth/camera_info'].distortion_model == 'plumb_bob'
    )


def test_rule_4_refuse_means_that_a_distorted_image_is_an_error(stage):
    lens = dataclasses.replace(CAMERA, distortion=(-0.2, 0.03, 0.0, 0.0, 0.0))
    assert stage.bench.set(distortion='refuse')[0]
    stage.fault(
        lambda n: (image(picture(), stage.next_stamp()), info(lens)),
        r'camera_info: the image is distorted \(D = \[-0\.2',
    )
    assert stage.bench.set(distortion='assume_rectified')[0]
    stage.outputs(camera_info=info(lens))


def test_rule_5_auto_follows_the_reliability_of_the_publishers(stage):
    bench = stage.bench

    def asked():
        found = bench.node.get_subscriptions_info_by_topic('/image')
        return {s.qos_profile.reliability for s in found if s.node_name == 'depth_node'}

    stage.outputs()
    bench.until(lambda: asked() == {ReliabilityPolicy.RELIABLE}, 'a reliable subscription')
    bench.silence('/image')
    bench.publisher(Image, '/image', reliable=False)
    bench.until(lambda: asked() == {ReliabilityPolicy.BEST_EFFORT}, 'a best effort subscription')
    stage.outputs()
    bench.silence('/image')
    bench.publisher(Image, '/image')
    bench.until(lambda: asked() == {ReliabilityPolicy.RELIABLE}, 'a reliable subscription again')


def test_rule_5_outputs_are_reliable(stage):
    for name in KINDS:
        (publisher,) = stage.bench.node.get_publishers_info_by_topic(OUT + name)
        assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE, name


def test_rule_5_every_publisher_and_subscription_takes_qos_overrides(stage):
    names = stage.bench.call(*list_parameters())
    for name in KINDS:
        for policy in ('reliability', 'depth', 'history'):
            assert f'qos_overrides.{OUT}{name}.publisher.{policy}' in names.result.names
    for topic in ('/image', '/camera_info'):
        for policy in ('reliability', 'depth', 'history'):
            assert f'qos_overrides.{topic}.subscription.{policy}' in names.result.names


def list_parameters():
    from rcl_interfaces.srv import ListParameters

    return ListParameters, '/depth_node/list_parameters', ListParameters.Request()


def test_rule_5_an_incompatible_subscriber_is_reported_in_words(stage):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    other = stage.bench.node.create_subscription(Image, OUT + 'label_mask', print, latched)
    words = rf'{OUT}label_mask: incompatible QoS policy durability'
    stage.bench.until(lambda: re.search(words, stage.node.log), words)
    stage.bench.until(
        lambda: re.search(words, stage.bench.value('camera', 'last warning')), 'the diagnostic'
    )
    stage.bench.node.destroy_subscription(other)


def test_rule_5_silence_is_reported_with_the_resolved_topic_and_its_publishers(stage):
    bench = stage.bench
    stage.outputs()
    entry = bench.until(
        lambda: (e := bench.status('camera')) and e.level == e.ERROR and e, 'silence'
    )
    assert re.match(r'no image for \d+ s on /image, which has 1 publisher', entry.message)
    bench.silence('/image')
    bench.until(
        lambda: re.match(
            r'no image for \d+ s on /image, which has no publisher', bench.status('camera').message
        ),
        'no publisher',
    )
    bench.publisher(CompressedImage, '/image/compressed')
    bench.until(
        lambda: 'set image_transport to compressed' in bench.status('camera').message, 'the hint'
    )
    bench.silence('/image/compressed')
    assert 'no image for' in stage.node.log
    stage.outputs()


def test_rule_6_in_a_burst_every_frame_is_published_or_counted(stage):
    stage.outputs()
    before = stage.settled()
    for number in range(40):
        stage.bench.show(image(picture(seed=number % 3), stage.next_stamp()), info())
        stage.bench.spin(0.004)
    after = stage.settled()
    grown = {name: after[name] - before[name] for name in after}
    assert grown.pop('received') == sum(grown.values()) > 0
    assert grown['replaced'] > 0 and grown['published'] > 0
    assert float(stage.bench.value('camera', 'age p50 [ms]')) > 0
    assert float(stage.bench.value('camera', 'age p99 [ms]')) > 0


def test_rule_7_without_a_listener_there_is_no_inference(stage):
    bench = stage.bench
    stage.outputs()
    for name in KINDS:
        bench.ignore(OUT + name)
    before = stage.settled()

    def rested():
        return stage.count('unheard') >= before['unheard'] + 3

    bench.show_until(lambda n: (image(picture(), stage.next_stamp()), info()), rested, 'unheard')
    # A frame on its way while the last listener left may still have been published.
    assert stage.settled()['published'] <= before['published'] + 2
    bench.show_until(
        lambda n: (image(picture(), stage.next_stamp()), info()),
        lambda: bench.status('camera').message == 'idle: nobody listens',
        'the diagnostic',
    )


def test_rule_8_a_deactivated_node_neither_listens_nor_publishes(stage):
    bench = stage.bench
    stage.outputs()
    assert bench.change('deactivate')
    assert bench.state() == 'inactive'

    def listens():
        found = bench.node.get_subscriptions_info_by_topic('/image')
        return any(s.node_name == 'depth_node' for s in found)

    bench.until(lambda: not listens(), 'the end of the subscription')
    bench.spin(0.2)
    for messages in bench.heard.values():
        messages.clear()
    for _ in range(3):
        bench.show(image(picture(), stage.next_stamp()), info())
        bench.spin(0.1)
    assert not any(bench.heard.values())
    assert bench.change('activate')
    stage.outputs()


def test_rule_8_configure_fails_with_a_reason_and_can_be_tried_again(stage, tiny_weights, tmp_path):
    bench = stage.bench
    text = tmp_path / 'text.safetensors'
    text.write_text('these are no weights')
    assert bench.change('deactivate') and bench.change('cleanup')
    for path in (tmp_path / 'absent.safetensors', text):
        assert bench.set(weights=str(path))[0]
        assert not bench.change('configure')
        assert bench.state() == 'unconfigured'
        entry = bench.until(
            lambda name=path.name: (e := bench.status('engine')) and name in e.message and e,
            path.name,
        )
        assert entry.level == entry.ERROR
    assert 'Traceback' not in stage.node.log
    assert bench.set(weights=str(tiny_weights))[0]
    assert bench.change('configure') and bench.change('activate')
    stage.outputs()


def test_rule_9_a_running_node_refuses_a_bad_value_with_a_reason_and_keeps_the_old(stage):
    bench = stage.bench
    assert bench.set(stride=0)[0] is False
    accepted, reason = bench.set(min_depth=90.0)
    assert not accepted and 'expected less than max_depth' in reason
    accepted, reason = bench.set(weights='other.safetensors')
    assert not accepted and 'only while the node is unconfigured' in reason
    assert stage.outputs()['depth/camera_info'].width == NETWORK_CAMERA.width


def test_rule_10_the_scale_is_published_and_in_the_diagnostics(stage):
    # The camera of the weights has f = 200, so has this one in network pixels.
    assert stage.outputs()['scale'].data == 1.0
    bench = stage.bench
    bench.until(lambda: bench.value('camera', 'scale factor') == '1', 'the factor')
    assert bench.value('camera', 'scale source') == 'weights are metric'


def test_rule_10_depth_is_multiplied_by_the_focal_length_relative_to_training(stage):
    wide = dataclasses.replace(CAMERA, fx=CAMERA.fx / 2, fy=CAMERA.fy / 2)
    first = image_array(stage.outputs()['depth/image_rect'])
    second = image_array(stage.outputs(camera_info=info(wide))['depth/image_rect'])
    both = np.isfinite(first) & np.isfinite(second)
    assert both.any()
    np.testing.assert_allclose(second[both], first[both] / 2, rtol=1e-5)


@pytest.mark.parametrize(
    'stage', [{'scale_source': 'camera_height', 'camera_height': 1.65}], indirect=True
)
def test_rule_10_unscaled_depth_is_a_warning_until_the_ground_is_seen(stage):
    # Random weights show no ground.
    stage.outputs()
    bench = stage.bench
    entry = bench.until(
        lambda: (e := bench.status('camera')) and e.level == e.WARN and e, 'warning'
    )
    assert entry.message == 'scale: no ground plane seen yet: depth is not metres'


@pytest.mark.parametrize('stage', [{'scale_source': 'odometry'}], indirect=True)
def test_rule_10_odometry_gives_the_scale_by_the_pose_network(stage):
    bench = stage.bench

    def drive(number):
        stamp = stage.next_stamp()
        odometry = Odometry(header=header(stamp, 'odom'))
        odometry.twist.twist.linear.x = 10.0
        bench.publisher(Odometry, '/odom').publish(odometry)
        bench.spin(0.02)
        return image(picture(seed=number), stamp), info()

    bench.show_until(
        drive, lambda: bench.value('camera', 'scale source') == 'odometry', 'a scale', period=0.1
    )
    bench.until(lambda: float(bench.value('camera', 'scale factor')) > 0, 'a factor')
    bench.silence('/odom')


@pytest.mark.parametrize('stage', [{'cameras': ['front', 'left']}], indirect=True)
def test_several_cameras_are_matched_by_time_and_come_out_under_their_names(stage):
    bench = stage.bench
    topics = [f'{OUT}{camera}/depth/image_rect' for camera in ('front', 'left')]
    for topic in topics:
        bench.listen(Image, topic)
        bench.heard[topic].clear()

    def both():
        return all(len(bench.heard[topic]) >= 3 for topic in topics)

    def frame(number):
        stamp = stage.next_stamp()
        bench.show(image(picture(seed=1), stamp), info(), prefix='/front')
        # Half a slop later, and every third time not at all.
        if number % 3 != 2:
            bench.show(image(picture(seed=2), stamp + 0.01), info(), prefix='/left')

    number = 0
    while not both():
        frame(number)
        number += 1
        bench.spin(0.15)
        assert number < 300
    front, left = ({stamp_of(m) for m in bench.heard[topic]} for topic in topics)
    # Each output has the stamp of its own camera.
    assert {(sec, nanosec + 10_000_000) for sec, nanosec in front} & left

    def received():
        bench.spin(1.2)
        return {c: stage.count('received', f'camera {c}') for c in ('front', 'left')}

    # What came before one of the cameras was found does not count.
    before = received()
    for number in range(6):
        frame(number)
        bench.spin(0.15)
    after = received()
    more = {camera: after[camera] - before[camera] for camera in after}
    assert more['front'] > more['left'] > 0
    for topic in topics:
        bench.ignore(topic)
    bench.silence('/front/image', '/left/image', '/front/camera_info', '/left/camera_info')


@pytest.mark.parametrize('stage', [{'cameras': ['front', 'left']}], indirect=True)
def test_one_bad_camera_does_not_blind_the_others(stage):
    bench = stage.bench
    topic = f'{OUT}front/depth/image_rect'
    bench.listen(Image, topic)

    def frame(number):
        stamp = stage.next_stamp()
        bench.show(image(picture(), stamp, encoding='nonsense'), info(), prefix='/left')
        return image(picture(), stamp), info()

    bench.heard[topic].clear()
    for number in range(300):
        message, camera_info = frame(number)
        bench.show(message, camera_info, prefix='/front')
        bench.spin(0.1)
        if bench.heard[topic]:
            break
    assert bench.heard[topic]
    bench.until(lambda: 'nonsense' in bench.status('camera left').message, 'the fault')
    bench.ignore(topic)
    bench.silence('/front/image', '/left/image', '/front/camera_info', '/left/camera_info')


@pytest.mark.parametrize('stage', [{'image_transport': 'compressed'}], indirect=True)
def test_compressed_images_are_subscribed_to_natively(stage):
    import cv2

    bench = stage.bench
    _, jpeg = cv2.imencode('.jpg', picture()[..., ::-1])
    topic = OUT + 'depth/image_rect'
    bench.heard[topic].clear()
    for _ in range(300):
        message = CompressedImage(
            header=header(stage.next_stamp(), 'camera'), format='rgb8; jpeg compressed bgr8'
        )
        message.data.frombytes(jpeg.tobytes())
        camera_info = info()
        camera_info.header = message.header
        bench.publisher(CameraInfo, '/camera_info').publish(camera_info)
        bench.publisher(CompressedImage, '/image/compressed').publish(message)
        bench.spin(0.1)
        if bench.heard[topic]:
            break
    assert bench.heard[topic][-1].header.frame_id == 'camera'
    bench.silence('/image/compressed')
