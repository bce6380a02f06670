import multiprocessing
import resource

import numpy as np
import pytest

from semdepth_ros.bags.drive import Drive
from semdepth_ros.camera import Camera
from semdepth_training import frame_cache
from semdepth_training.frame_cache import CacheConfig, FrameCacheError, PreparedDrive


def prepared(path, folder, use='always', size=(96, 64)):
    drive = PreparedDrive(Drive(path), *size, CacheConfig(use=use, folder=str(folder)))
    drive.prepare()
    return drive


def frame(drive, index):
    width, height = drive.fit.camera.size
    out = np.zeros((height, width, 3), np.uint8)
    drive.read(index, out)
    return out


def test_cached_and_direct_frames_are_the_same(write_bag, tmp_path):
    bag = write_bag()
    cached = prepared(bag, tmp_path / 'a', 'always', (64, 32))
    direct = prepared(bag, tmp_path / 'b', 'never', (64, 32))
    assert cached.is_cached and not direct.is_cached
    for index in (0, 5, 11):
        assert np.array_equal(frame(cached, index), frame(direct, index))
    assert np.array_equal(cached.flow, direct.flow)


def test_intrinsics_follow_the_crop_and_the_resize(write_bag, tmp_path):
    drive = prepared(write_bag(), tmp_path / 'c', size=(64, 32))
    # 96x64 is cropped to 96x48 from row 8 on, then halved by 2/3.
    assert drive.fit.camera == Camera(96, 64, 60, 60, 47.5, 31.5).cropped(0, 8, 96, 48).resized(
        64, 32
    )


def test_flow_tells_a_moving_from_a_standing_camera(write_bag, tmp_path):
    speed = np.where(np.arange(12) < 6, 5.0, 0.0)
    flow = prepared(write_bag(speed=speed), tmp_path / 'c').flow
    assert np.allclose(flow[:5], 4 / 96, rtol=0.2)
    assert flow[7:].max() < 0.001


def test_corrupt_frames_are_found_in_the_pass(write_bag, tmp_path):
    drive = prepared(write_bag(corrupt=(4,)), tmp_path / 'c')
    assert np.flatnonzero(drive.corrupt).tolist() == [4]
    assert np.isnan(drive.flow[[3, 4]]).all() and np.isfinite(drive.flow[[2, 5]]).all()


def test_an_interrupted_pass_goes_on_where_it_stopped(write_bag, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_cache, 'FRAMES_PER_FILE', 4)
    bag, whole = write_bag(), tmp_path / 'whole'
    expected = prepared(bag, whole)
    drive = PreparedDrive(Drive(bag), 96, 64, CacheConfig('always', folder=str(tmp_path / 'cut')))

    class KilledError(Exception):
        pass

    def stop(frames):
        raise KilledError

    with pytest.raises(KilledError):
        drive.prepare(stop)
    first = drive.folder / 'frames_00000.npy'
    made = first.stat().st_mtime_ns
    assert not (drive.folder / 'frames_00001.npy').exists()
    drive.prepare()
    assert first.stat().st_mtime_ns == made
    assert np.array_equal(drive.flow, expected.flow)
    assert all(np.array_equal(frame(drive, i), frame(expected, i)) for i in range(12))


def test_other_content_other_size_and_other_camera_have_other_folders(write_bag, tmp_path):
    a = prepared(write_bag('a'), tmp_path / 'c')
    b = prepared(write_bag('b', pixels=9), tmp_path / 'c')
    c = prepared(write_bag('other', camera=Camera(96, 64, 61, 61, 47.5, 31.5)), tmp_path / 'c')
    d = prepared(a.drive.path, tmp_path / 'c', size=(64, 32))
    assert len({a.folder, b.folder, c.folder, d.folder}) == 4


def _prepare_in_process(bag, folder, queue):
    drive = prepared(bag, folder)
    queue.put((drive.flow.tobytes(), frame(drive, 7).tobytes()))


def test_several_processes_share_one_cache(write_bag, tmp_path):
    bag = write_bag()
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    processes = [
        context.Process(target=_prepare_in_process, args=(bag, tmp_path / 'c', queue))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert len(set(results)) == 1
    files = sorted(p.name for p in next((tmp_path / 'c').iterdir()).iterdir())
    assert files == ['frames_00000.npy', 'lock', 'motion_00000.npz']


def _prepare_on_full_disk(bag, folder, queue):
    # Files of at most 4 KiB: what a full disk does to a write, without filling one.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        prepared(bag, folder)
    except FrameCacheError as error:
        queue.put(str(error))


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(write_bag, tmp_path):
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    process = context.Process(
        target=_prepare_on_full_disk, args=(write_bag(), tmp_path / 'c', queue)
    )
    process.start()
    message = queue.get(timeout=60)
    process.join()
    assert 'frames of bag drive cannot be cached' in message and '\n' not in message
    assert [p.name for p in next((tmp_path / 'c').iterdir()).iterdir()] == ['lock']


def test_too_little_room_is_said_before_anything_is_written(write_bag, tmp_path, monkeypatch):
    monkeypatch.setattr(
        frame_cache.shutil, 'disk_usage', lambda path: type('Usage', (), {'free': 1000})
    )
    with pytest.raises(FrameCacheError, match=r'GiB free'):
        prepared(write_bag(), tmp_path / 'c')


def test_distorted_images_are_rectified(write_bag, tmp_path, slide):
    camera = Camera(96, 64, 60, 60, 47.5, 31.5, distortion=(-0.3, 0.1, 0, 0, 0))
    from semdepth_ros.rectification import rectify

    drive = Drive(write_bag(camera=camera), rectified=False)
    one = PreparedDrive(drive, 96, 64, CacheConfig('always', folder=str(tmp_path / 'c')))
    one.prepare()
    expected = rectify(drive.image(3), camera, camera.undistorted())
    assert np.array_equal(frame(one, 3), expected)
    assert not np.array_equal(expected, drive.image(3))
