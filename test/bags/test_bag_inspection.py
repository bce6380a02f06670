"""`semdepth bag inspect` says of a recording whether it can be trained on, and why not."""

import json

import cv2
import numpy as np
import pytest
from drive_recordings import CAMERA, START, stamps, wall_image

from semdepth_ros import cli
from semdepth_ros.bags import messages
from semdepth_ros.camera import Camera
from semdepth_training.commands import bag as command
from semdepth_training.inspection.measures import blur


def inspect(*arguments, tmp_path):
    """Run the command; return its exit code and what it found out about the first bag."""
    target = tmp_path / 'inspection.json'
    code = command.main(['inspect', *map(str, arguments), '--json', str(target)])
    return code, json.loads(target.read_text())['bags'][0]


def standing(frame):
    return wall_image(0)


def test_a_good_drive_is_trainable_and_everything_is_listed(record, tmp_path, capsys):
    code, found = inspect(record(frames=45), tmp_path=tmp_path)
    assert code == 0
    assert (found['verdict'], found['reasons']) == ('trainable', [])
    assert found['topics']['image'] == '/camera/image_rect/compressed'
    assert found['time']['frames'] == 45
    assert found['time']['rate_hz'] == pytest.approx(10)
    assert found['time']['gaps'] == []
    assert found['camera']['K'] == CAMERA.K.tolist()
    assert found['camera']['height_above_ground_m'] == pytest.approx(1.5)
    assert found['camera']['field_of_view_deg'] == pytest.approx(56.1, abs=0.1)
    assert found['motion']['source'] == 'odometry'
    assert found['motion']['static_share'] == 0
    assert found['motion']['speed_median_m_s'] == pytest.approx(5)
    assert found['motion']['distance_m'] == pytest.approx(22)
    assert found['triplets'] == 43
    assert 0 < found['frames']['blur_median'] < 1
    assert found['truth']['usable'] is False
    sheet = cv2.imread(str(tmp_path / 'inspection.png'))
    assert sheet.shape[1] == 1600
    assert 'verdict: trainable' in capsys.readouterr().out


def test_without_odometry_motion_is_by_flow(record, tmp_path):
    code, found = inspect(record(frames=45, speed=None), tmp_path=tmp_path)
    assert code == 0
    assert found['motion']['source'] == 'flow'
    # Three of 64 pixels a frame.
    assert found['motion']['flow_median_share_of_width'] == pytest.approx(3 / 64, rel=0.2)
    assert any('up to scale' in words for words in found['warnings'])


@pytest.mark.parametrize('speed', [0.0, None])
def test_a_camera_that_stands_is_not_trainable_by_odometry_or_flow(record, tmp_path, speed):
    code, found = inspect(record(frames=45, speed=speed, image=standing), tmp_path=tmp_path)
    assert code == 1
    assert found['verdict'] == 'not trainable'
    assert found['motion']['static_share'] == 1
    assert found['triplets'] == 0
    assert '0 triplets' in found['reasons'][0]


def test_gaps_and_jumping_stamps_are_listed_and_no_triplet_crosses_a_gap(record, tmp_path):
    times = stamps(60)
    times = [t + (3 * 10**9 if k >= 20 else 0) for k, t in enumerate(times)]
    times[40] = times[10]
    code, found = inspect(record(times=times), tmp_path=tmp_path)
    assert code == 0
    assert found['time']['gap_count'] == 1
    assert found['time']['gaps'] == [{'after_frame': 19, 'seconds': 3.1}]
    assert found['time']['jumps_back'] == 1
    assert found['time']['left_out'] == {'out of order': 1}
    # 59 frames in two runs: two ends each. The frame left out makes a pause of two periods only.
    assert found['triplets'] == 59 - 4


@pytest.mark.parametrize(
    ('image', 'word', 'expected'),
    [
        (lambda k: wall_image(k) // 12, 'dark', 1),
        (lambda k: np.minimum(wall_image(k), 20) + 235, 'blown', 1),
        (lambda k: cv2.GaussianBlur(wall_image(k), (0, 0), 4), 'blurred', 0),
    ],
)
def test_dark_and_blown_pictures_are_reasons_and_blurred_ones_a_warning(
    record, tmp_path, image, word, expected
):
    code, found = inspect(record(frames=45, image=image), tmp_path=tmp_path)
    assert code == expected
    words = found['reasons' if expected else 'warnings']
    assert any(f'100% of the frames are {word}' in each for each in words)


def test_blur_grows_with_blurring_and_hardly_with_contrast():
    sharp = np.random.default_rng(0).integers(0, 2, (40, 60)).repeat(4, 0).repeat(4, 1) * 200
    sharp = sharp.astype(np.uint8)
    blurs = [blur(sharp), *(blur(cv2.GaussianBlur(sharp, (0, 0), s)) for s in (1, 2, 4))]
    assert blurs == sorted(blurs)
    assert blurs[0] < 0.35 < 0.55 < blurs[3]
    assert blur(sharp // 3) == pytest.approx(blurs[0], abs=0.02)
    assert blur(np.full((20, 20), 7, np.uint8)) == 1


@pytest.mark.parametrize(
    ('camera', 'sentence'),
    [
        (Camera(64, 48, 2.0, 2.0, 31.5, 23.5), 'a field of view of 173 degrees'),
        (Camera(64, 48, 60.0, 60.0, 200.0, 23.5), 'principal point (200, 24) lies outside'),
    ],
)
def test_implausible_intrinsics_are_a_reason(record, tmp_path, camera, sentence):
    code, found = inspect(record(frames=45, camera=camera), tmp_path=tmp_path)
    assert code == 1
    assert any(sentence in reason for reason in found['reasons'])


def test_what_makes_no_drive_is_a_reason_and_not_a_crash(record, tmp_path):
    for name, options, sentence in (
        ('one', {'frames': 1}, '0 triplets'),
        ('no_info', {'info': False}, 'no camera_info'),
        ('size', {'camera': Camera(65, 48, 60.0, 60.0, 32.0, 23.5)}, 'images are 64x48'),
    ):
        code, found = inspect(record(name, **options), tmp_path=tmp_path)
        assert code == 1
        assert sentence in found['reasons'][0]


def test_damaged_frames_are_counted_and_named(record, tmp_path):
    path = record(frames=45, speed=None)
    (file,) = path.glob('*.mcap')
    data = bytearray(file.read_bytes())
    at = -1
    for _ in range(8):
        at = data.index(b'\x89PNG', at + 1)
    data[at + 1 : at + 4] = b'XXX'
    file.write_bytes(data)
    code, found = inspect(path, tmp_path=tmp_path)
    assert code == 0
    assert (found['frames']['damaged'], found['frames']['looked_at']) == (1, 45)
    (warning,) = [words for words in found['warnings'] if 'damaged' in words]
    assert '1 of 45 frames' in warning
    assert 'frame 7 of /camera/image_rect/compressed' in warning
    assert found['triplets'] == 45 - 2 - 3


def test_truth_is_listed_with_its_coverage(record, tmp_path):
    depth = np.full((48, 64), 7, np.float32)
    depth[:24] = np.nan
    extra = [
        ('/depth/image_rect', messages.image(t, 'camera', depth, '32FC1'), t) for t in stamps(45)
    ]
    _, found = inspect(record(frames=45, extra=extra), tmp_path=tmp_path)
    assert found['truth'] == {
        'topic': '/depth/image_rect',
        'usable': True,
        'pixels_covered': pytest.approx(0.5),
    }


def test_one_bad_bag_of_several_decides_the_exit_code(record, tmp_path, capsys):
    good, bad = record('good', frames=45), record('bad', frames=3)
    assert cli.main(['bag', 'inspect', str(good), str(bad)]) == 1
    assert cli.main(['bag', 'inspect', str(good)]) == 0
    assert cli.main(['bag', 'inspect', str(tmp_path / 'absent')]) == 2
    assert 'absent does not exist' in capsys.readouterr().err


def test_topics_can_be_named(record):
    extra = [
        (f'/rear/{name}', message, START)
        for name, message in {
            'image_raw': messages.image(START, 'camera', wall_image(0), 'rgb8'),
            'camera_info': messages.camera_info(START, 'camera', CAMERA),
        }.items()
    ]
    path = record(frames=45, extra=extra)
    assert command.main(['inspect', str(path)]) == 1
    assert command.main(['inspect', str(path), '--image', '/camera/image_rect/compressed']) == 0


def test_bag_alone_prints_help(capsys):
    assert cli.main(['bag']) == 0
    assert 'inspect' in capsys.readouterr().out


def test_the_real_recordings_are_judged_as_they_are(shared_data, tmp_path):
    code, found = inspect(shared_data('bags/kitti_sfnd'), tmp_path=tmp_path)
    assert code == 0
    # It drives in frames 0 to 52 of 78 and then stands.
    assert found['motion']['static_share'] == pytest.approx(25 / 78, abs=0.06)
    assert found['truth']['topic'] == '/velodyne_points'
