"""Recordings of every kind are read alike, whole or cut, and nothing in them crashes the reader."""

import json
import multiprocessing
import pickle
import shutil
import sqlite3
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from drive_recordings import write_drive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2

from semdepth_ros.bags import storage as storage_module
from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.messages import ros1_typestore, typestore
from semdepth_ros.bags.reader import NO_STAMP, Bag
from semdepth_ros.bags.sqlite import SqliteFile
from semdepth_ros.bags.sqlite_salvage import salvaged_message, salvaged_rows

IMAGE = '/camera/image_rect/compressed'
KINDS = [
    'mcap', 'sqlite3', 'mcap-chunks', 'mcap-messages', 'sqlite3-file',
    'ros1', 'ros1-bz2', 'ros1-lz4',
]  # fmt: skip


def contents(bag):
    """Return every message of a bag: topic -> list of (log time, bytes)."""
    return {
        name: [(int(t), bag.raw(name, k)) for k, t in enumerate(bag.log_times(name))]
        for name in bag.topics
    }


def rewrite(source, target, kind):
    """Write what is in a bag again, in another kind."""
    bag = Bag(source)
    everything = sorted(
        ((t, name, data) for name, rows in contents(bag).items() for t, data in rows),
        key=lambda row: row[0],
    )
    if kind.startswith('ros1'):
        writer = Writer1(target.with_suffix('.bag'))
        if '-' in kind:
            writer.set_compression(Writer1.CompressionFormat[kind.split('-')[1].upper()])
        store = ros1_typestore()
        with writer:
            connections = {
                name: writer.add_connection(name, topic.msgtype, typestore=store)
                for name, topic in bag.topics.items()
            }
            for t, name, data in everything:
                message = typestore().deserialize_cdr(data, bag.topics[name].msgtype)
                writer.write(connections[name], t, to_ros1(store, message))
        return writer.path
    plugin = StoragePlugin.MCAP if kind.startswith('mcap') else StoragePlugin.SQLITE3
    writer = Writer2(target, version=9, storage_plugin=plugin)
    if '-' in kind:
        mode = {'chunks': 'STORAGE', 'messages': 'MESSAGE', 'file': 'FILE'}[kind.split('-')[1]]
        writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        connections = {
            name: writer.add_connection(name, topic.msgtype, typestore=typestore())
            for name, topic in bag.topics.items()
        }
        for t, name, data in everything:
            writer.write(connections[name], t, data)
    return target


def to_ros1(store, message):
    """Return the ROS 1 bytes of a ROS 2 message: the same fields, and a sequence number."""

    def convert_fields(value):
        kind = getattr(value, '__msgtype__', None)
        if kind is None:
            return [convert_fields(v) for v in value] if isinstance(value, list) else value
        names = [name for name, _ in store.fielddefs[kind][1]]
        fields = [
            0 if name == 'seq' else convert_fields(getattr(value, name, None) if hasattr(
                value, name) else getattr(value, name.lower()))
            for name in names
        ]  # fmt: skip
        return store.types[kind](*fields)

    return store.serialize_ros1(convert_fields(message), message.__msgtype__)


@pytest.fixture(params=KINDS)
def bag_of_each_kind(request, record, tmp_path):
    original = record('original')
    if request.param == 'mcap':
        return original, original
    return original, rewrite(original, tmp_path / 'again', request.param)


def test_every_kind_of_bag_gives_the_same_frames(bag_of_each_kind):
    original, path = map(Bag, bag_of_each_kind)
    assert path.problems == []
    assert {(t.name, t.msgtype, t.count) for t in path.topics.values()} == {
        (t.name, t.msgtype, t.count) for t in original.topics.values()
    }
    assert path.span_ns == original.span_ns
    assert np.array_equal(path.header_stamps(IMAGE), original.header_stamps(IMAGE))
    for number in (7, 0, 11):
        message, wanted = path.message(IMAGE, number), original.message(IMAGE, number)
        assert message.data.tobytes() == wanted.data.tobytes()
        assert message.header.frame_id == 'camera'
    assert path.message('/odom', 3).twist.twist.linear.x == 5
    assert path.message('/tf_static', 0).transforms[1].child_frame_id == 'lidar'


def test_messages_are_the_same_after_pickling_and_in_other_processes(bag_of_each_kind):
    bag = Bag(bag_of_each_kind[1])
    wanted = [bag.raw(IMAGE, k) for k in range(12)]
    copy = pickle.loads(pickle.dumps(bag))
    assert [copy.raw(IMAGE, k) for k in range(12)] == wanted
    with multiprocessing.get_context('fork').Pool(2) as pool:
        assert pool.starmap(read_raw, [(bag, k) for k in range(12)]) == wanted
    # The parent's files are still there, unpacked ones too.
    assert bag.raw(IMAGE, 5) == wanted[5]


def read_raw(bag, number):
    return bag.raw(IMAGE, number)


def test_a_spawned_process_reads_a_bag_that_was_made_before(record):
    bag = Bag(record())
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        assert pool.apply(read_raw, (bag, 4)) == bag.raw(IMAGE, 4)


def test_a_split_bag_is_one_bag_in_the_order_of_time(record, tmp_path):
    first = record('first', frames=5)
    second = rewrite_later(record('second', frames=5), tmp_path / 'later')
    whole = tmp_path / 'whole'
    shutil.copytree(second, whole)
    (second_file,) = whole.glob('*.mcap')
    (first_file,) = first.glob('*.mcap')
    shutil.copy(first_file, whole / 'a.mcap')
    names = [second_file.name, 'a.mcap']
    (whole / 'metadata.yaml').write_text(
        json.dumps({'rosbag2_bagfile_information': {'relative_file_paths': names}})
    )
    bag = Bag(whole)
    assert bag.topics[IMAGE].count == 10
    assert (np.diff(bag.log_times(IMAGE)) > 0).all()
    assert bag.raw(IMAGE, 0) == Bag(first).raw(IMAGE, 0)


def rewrite_later(source, target):
    bag = Bag(source)
    with Writer2(target, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for name, topic in bag.topics.items():
            connection = writer.add_connection(name, topic.msgtype, typestore=typestore())
            for t, data in contents(bag)[name]:
                writer.write(connection, t + 3_000_000_000, data)
    return target


@pytest.mark.parametrize('kind', ['mcap', 'mcap-chunks', 'sqlite3', 'ros1', 'ros1-lz4'])
def test_a_cut_bag_gives_what_is_left_of_it_and_says_that_it_is_cut(record, tmp_path, kind):
    # Noise, so that chunks stay large and several are needed.
    noise = np.random.default_rng(0)

    def image(frame):
        return noise.integers(0, 255, (48, 64, 3), np.uint8)

    path = rewrite(record('original', frames=200, image=image), tmp_path / 'again', kind)
    (file,) = [path] if path.is_file() else [f for f in path.iterdir() if f.suffix != '.yaml']
    whole = contents(Bag(file))
    data = file.read_bytes()
    readable = []
    for share in (0.3, 0.6, 0.95):
        cut = tmp_path / f'cut{file.suffix}'
        cut.write_bytes(data[: int(len(data) * share)])
        bag = Bag(cut)
        assert any('cut off' in problem for problem in bag.problems)
        assert NO_STAMP not in bag.header_stamps(IMAGE)[:10]
        known = dict(whole[IMAGE])
        found = 0
        for number, time in enumerate(bag.log_times(IMAGE).tolist()):
            try:
                assert bag.raw(IMAGE, number) == known[time]
                found += 1
            except BagError:
                # Only the last message may be cut in two.
                assert number >= bag.topics[IMAGE].count - 2
        readable.append(found)
    assert readable == sorted(readable)
    assert readable[0] > 200 * 0.3 * 0.6
    assert readable[2] > 200 * 0.95 * 0.8


def test_salvage_finds_in_a_whole_database_what_sqlite_finds(record):
    (file,) = record(storage='sqlite3', frames=40).glob('*.db3')
    database = SqliteFile(file)
    wanted = {
        (channel, int(t)): database.read(int(a), int(b))
        for channel, rows in database.index.items()
        for t, a, b in rows
    }
    with file.open('rb') as stream:
        found = {
            (channel, t): salvaged_message(stream, at) for channel, t, at in salvaged_rows(stream)
        }
    assert found == wanted


@pytest.mark.parametrize(
    'damage', ['missing', 'no yaml: [', '{}', 'rosbag2_bagfile_information: 3']
)
def test_a_bag_without_its_metadata_is_read_and_said_so(record, damage):
    path = record()
    (path / 'metadata.yaml').unlink()
    if damage != 'missing':
        (path / 'metadata.yaml').write_text(damage)
    bag = Bag(path)
    assert bag.topics[IMAGE].count == 12
    assert bag.problems == [f'metadata.yaml is {"missing" if damage == "missing" else "damaged"}']


def test_metadata_cannot_name_files_outside_of_the_bag(record, tmp_path):
    secret = record('secret')
    path = record('bag')
    (file,) = secret.glob('*.mcap')
    (path / 'metadata.yaml').write_text(
        json.dumps({'rosbag2_bagfile_information': {'relative_file_paths': [str(file)]}})
    )
    with pytest.raises(BagError, match='is no bag'):
        Bag(path)


def test_what_is_no_bag_is_refused_by_name(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.txt').write_text('hello')
    for name, content in {'a.mcap': b'hello', 'a.db3': b'hello' * 100, 'a.bag': b''}.items():
        (tmp_path / name).write_bytes(content)
    for name, sentence in {
        'absent': 'absent does not exist',
        'empty': 'empty is no bag',
        'text.txt': r'text.txt is no bag, expected a folder, or a .mcap',
        'a.mcap': 'does not begin with its magic',
        'a.db3': 'is no rosbag2 database',
        'a.bag': 'is no ROS 1 bag of version 2.0',
    }.items():
        with pytest.raises(BagError, match=sentence):
            Bag(tmp_path / name)


def test_an_unknown_topic_is_named_with_those_that_there_are(record):
    with pytest.raises(BagError, match=r'has no topic /nothing, it has: /camera/camera_info, '):
        Bag(record()).message('/nothing', 0)


def test_damaged_messages_are_counted_and_named_and_the_rest_is_given(record):
    path = record(compressed=None)
    (file,) = path.glob('*.mcap')
    data = bytearray(file.read_bytes())
    # The length of the encoding's name, behind header, height and width, in the third image.
    at = -1
    for _ in range(3):
        at = data.index(b'\x05\0\0\0rgb8\0', at + 1)
    data[at : at + 4] = b'\xff\xff\xff\x7f'
    file.write_bytes(data)
    bag = Bag(path)
    numbers = [number for number, _ in bag.messages('/camera/image_rect')]
    assert numbers == [0, 1, *range(3, 12)]
    (problem,) = bag.problems
    assert problem.startswith('/camera/image_rect: 1 damaged messages, first: ')
    assert 'message 2 of /camera/image_rect' in problem


def test_a_chunk_that_claims_to_unpack_to_gigabytes_is_refused(record, tmp_path, monkeypatch):
    path = rewrite(record(), tmp_path / 'again', 'mcap-chunks')
    (file,) = path.glob('*.mcap')
    monkeypatch.setattr(storage_module, 'MAX_UNPACKED_BYTES', 100)
    bag = Bag(file)
    assert any('expected at most 100' in problem for problem in bag.problems)


def test_a_packed_file_that_unpacks_to_far_more_is_refused(tmp_path):
    bomb = tmp_path / 'bomb.mcap.zstd'
    bomb.write_bytes(storage_module.zstd.compress(bytes(20_000_000)))
    with pytest.raises(BagError, match='unpacks to more than 200 times its size'):
        Bag(bomb)


def test_messages_that_still_lie_in_the_write_ahead_log_are_read(record, tmp_path):
    path = record(storage='sqlite3')
    (file,) = path.glob('*.db3')
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute('PRAGMA journal_mode = WAL')
    connection.execute('PRAGMA wal_autocheckpoint = 0')
    (topic,) = connection.execute('SELECT id FROM topics WHERE name = ?', (IMAGE,)).fetchone()
    connection.execute(
        'INSERT INTO messages (topic_id, timestamp, data) VALUES (?, 1, ?)', (topic, b'new')
    )
    crashed = tmp_path / 'crashed'
    shutil.copytree(path, crashed)
    connection.close()
    assert (crashed / f'{file.name}-wal').stat().st_size
    bag = Bag(crashed)
    assert bag.topics[IMAGE].count == 13
    assert bag.raw(IMAGE, 0) == b'new'
    assert bag.problems == []


def record_bytes(opcode, body):
    return struct.pack('<BQ', opcode, len(body)) + body


def text(value):
    return struct.pack('<I', len(value)) + value.encode()


def test_an_mcap_without_chunks_index_or_summary_is_read(tmp_path):
    message = bytes(4) + struct.pack('<iI', 12, 34) + text('camera\0')
    data = b'\x89MCAP0\r\n' + record_bytes(1, text('ros2') + text('test'))
    data += record_bytes(
        3, struct.pack('<H', 1) + text('std_msgs/msg/Header') + text('') + text('')
    )
    data += record_bytes(4, struct.pack('<HH', 7, 1) + text('/header') + text('cdr') + text(''))
    for time in (5, 6):
        data += record_bytes(5, struct.pack('<HIQQ', 7, 0, time, time) + message)
    (tmp_path / 'plain.mcap').write_bytes(data)
    bag = Bag(tmp_path / 'plain.mcap')
    assert bag.log_times('/header').tolist() == [5, 6]
    assert bag.raw('/header', 1) == message
    assert bag.problems == [f'plain.mcap is cut off after {len(data)} bytes']


@pytest.fixture(scope='module')
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('small')
    original = write_drive(folder / 'original', frames=3)
    files = []
    for kind in ('mcap', 'mcap-chunks', 'sqlite3', 'ros1'):
        path = rewrite(original, folder / kind, kind)
        files += [path] if path.is_file() else [f for f in path.iterdir() if f.suffix != '.yaml']
    return folder, files


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_to_a_file_ends_in_messages_or_a_bag_error(small_files, data):
    folder, files = small_files
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        width = data.draw(st.sampled_from([1, 1, 4, 8]))
        content[at : at + width] = data.draw(st.binary(min_size=width, max_size=width))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(
        st.booleans()) else content  # fmt: skip
    damaged = folder / f'damaged{file.suffix}'
    damaged.write_bytes(content)
    try:
        bag = Bag(damaged)
    except BagError:
        return
    for name, topic in bag.topics.items():
        bag.header_stamps(name)
        for number in range(min(topic.count, 20)):
            try:
                bag.message(name, number)
            except BagError:
                pass


def test_the_real_recordings_are_read_whole(shared_data):
    for name, count in {'kitti_raw_0095': 268, 'kitti_odom_03': 801, 'kitti_sfnd': 78}.items():
        bag = Bag(Path(shared_data(f'bags/{name}')))
        assert bag.topics[IMAGE].count == count
        assert bag.problems == []
        assert (np.diff(bag.header_stamps(IMAGE)) == 100_000_000).all()


@pytest.mark.parametrize('kind', ['mcap-chunks', 'sqlite3', 'ros1-lz4'])
def test_threads_may_read_one_bag_together(record, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(storage_module, 'CHUNK_CACHE_BYTES', 0)
    noise = np.random.default_rng(1).integers(0, 255, (60, 48, 64, 3), np.uint8)
    path = rewrite(record('original', frames=60, image=lambda k: noise[k]), tmp_path / 'b', kind)
    bag = Bag(path)
    numbers = np.random.default_rng(0).integers(0, 60, 300).tolist()
    wanted = [bag.raw(IMAGE, k) for k in numbers]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda k: bag.raw(IMAGE, k), numbers)) == wanted
