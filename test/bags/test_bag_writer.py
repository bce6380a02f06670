"""The writer gives whole bags or none, with the types and QoS that replay needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability

from semdepth_ros.bags import messages
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.camera import Camera

CAMERA = Camera(6, 4, 5.0, 5.5, 2.5, 1.5)


def write_one_of_each(writer):
    T = np.eye(4)
    T[:3, 3] = 1, 2, 3
    cloud = np.zeros((4, 6), [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('label', 'u1')])
    cloud['z'] = 7
    stamp = 5_000_000_007
    for topic, message in {
        '/tf_static': messages.transforms(
            stamp, [messages.Transform('base_link', 'camera', np.eye(4))]
        ),
        '/depth': messages.image(stamp, 'camera', np.full((4, 6), 2, np.float32), '32FC1'),
        '/camera_info': messages.camera_info(stamp, 'camera', CAMERA),
        '/points': messages.point_cloud(stamp, 'camera', cloud),
        '/odom': messages.odometry(stamp, 'odom', 'base_link', T, (1, 2, 3)),
        '/twist': messages.twist_stamped(stamp, 'base_link', (1, 2, 3)),
        '/label_info': messages.label_info(stamp, 'camera', {0: 'road', 10: 'sky'}),
        '/image/compressed': messages.compressed_image(stamp, 'camera', b'abc'),
    }.items():
        writer.write(topic, message, stamp)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_every_message_comes_back_as_it_was_written(tmp_path, storage):
    path = tmp_path / 'out'
    with BagWriter(path, storage) as writer:
        write_one_of_each(writer)
    assert [entry.name for entry in tmp_path.iterdir()] == ['out']
    with AnyReader([path]) as reader:
        read = {c.topic: reader.deserialize(data, c.msgtype) for c, _, data in reader.messages()}
    assert len(read) == 8
    assert read['/depth'].data.view(np.float32).tolist() == [2.0] * 24
    assert messages.stamp_ns(read['/depth']) == 5_000_000_007
    assert Camera.from_camera_info(read['/camera_info']).K.tolist() == CAMERA.K.tolist()
    assert Camera.from_camera_info(read['/camera_info'], rectified=True).size == CAMERA.size
    assert [(f.name, f.offset, f.datatype) for f in read['/points'].fields] == [
        ('x', 0, 7),
        ('y', 4, 7),
        ('z', 8, 7),
        ('label', 12, 2),
    ]
    assert (read['/points'].point_step, read['/points'].row_step) == (13, 78)
    assert read['/odom'].pose.pose.position.y == 2
    assert [(c.class_id, c.class_name) for c in read['/label_info'].class_map] == [
        (0, 'road'),
        (10, 'sky'),
    ]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_latched_topics_are_recorded_as_transient_local_and_no_others(tmp_path, storage):
    with BagWriter(tmp_path / 'bag', storage) as writer:
        write_one_of_each(writer)
    with AnyReader([tmp_path / 'bag']) as reader:
        latched = {
            c.topic
            for c in reader.connections
            if c.ext.offered_qos_profiles[0].durability is QosDurability.TRANSIENT_LOCAL
        }
    assert latched == {'/tf_static', '/label_info'}


def test_an_exception_leaves_nothing_and_ctrl_c_leaves_a_whole_bag(tmp_path):
    with pytest.raises(ZeroDivisionError), BagWriter(tmp_path / 'bag') as writer:
        write_one_of_each(writer)
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / 'bag') as writer:
        write_one_of_each(writer)
        raise KeyboardInterrupt
    with AnyReader([tmp_path / 'bag']) as reader:
        assert reader.message_count == 8


def test_nothing_has_the_name_of_the_bag_while_it_is_written(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        write_one_of_each(writer)
        assert not (tmp_path / 'bag').exists()
    assert (tmp_path / 'bag' / 'metadata.yaml').exists()


def test_misuse_is_refused_by_name(tmp_path):
    (tmp_path / 'taken').mkdir()
    with pytest.raises(BagError, match='taken exists already'):
        BagWriter(tmp_path / 'taken')
    with pytest.raises(BagError, match="storage 'csv' is unknown"):
        BagWriter(tmp_path / 'bag', 'csv')
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/a', messages.twist_stamped(1, 'base_link', (0, 0, 0)), 1)
        with pytest.raises(BagError, match='/a holds geometry_msgs/msg/TwistStamped'):
            writer.write('/a', messages.camera_info(1, 'camera', CAMERA), 1)
    with pytest.raises(BagError, match='is closed'):
        writer.write('/a', messages.twist_stamped(1, 'base_link', (0, 0, 0)), 2)
    with pytest.raises(BagError, match=r'does not fit rgb8, expected \(H, W, 3\) uint8'):
        messages.image(1, 'camera', np.zeros((4, 6), np.uint8), 'rgb8')
    with pytest.raises(BagError, match='expected named fields'):
        messages.point_cloud(1, 'camera', np.zeros((3, 3)))


def test_the_label_info_definition_has_the_fields_of_vision_msgs():
    fields = [name for name, _ in messages.typestore().fielddefs['vision_msgs/msg/LabelInfo'][1]]
    assert fields == ['header', 'class_map', 'threshold']


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_a_rotation_written_as_quaternion_is_the_same_rotation(q):
    x, y, z, w = np.array(q) / np.linalg.norm(q)
    T = np.eye(4)
    T[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    message = messages.transforms(0, [messages.Transform('a', 'b', T)])
    r = message.transforms[0].transform.rotation
    assert abs(abs(np.dot([r.x, r.y, r.z, r.w], [x, y, z, w])) - 1) < 1e-9
