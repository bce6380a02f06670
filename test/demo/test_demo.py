"""`make demo`: player, node and recorder as processes, and a check that can say no."""

import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from semdepth_ros.bags.drive import Drive
from semdepth_ros.demo.check import Recording, check_frame, check_recording


@pytest.fixture(scope='module')
def demo(tmp_path_factory, tiny_weights):
    """Run the demo on a short drive; return its folder and what it printed."""
    folder = tmp_path_factory.mktemp('demo')
    command = [sys.executable, '-m', 'semdepth_ros.demo', '--output', str(folder)]
    # Longer than a street is by default: the demo's own length is.
    command += ['--frames', '110', '--weights', str(tiny_weights)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, json.dumps([result.stdout, result.stderr])
    return folder, result.stdout


def test_the_demo_writes_sheet_bag_and_table(demo):
    folder, said = demo
    sheet = cv2.imread(str(folder / 'sheet.png'))
    assert sheet.shape[1] > 1000
    assert sheet.std() > 20
    assert 'age at publication, p99' in said
    assert 'Abs Rel to truth' in said
    assert (folder / 'table.md').read_text() in said


def test_every_played_image_is_published_or_counted(demo):
    folder, _ = demo
    drive, recording = Drive(folder / 'street'), Recording(folder / 'recording')
    assert check_recording(drive, recording) == []
    assert recording.stamps


def test_the_check_sees_a_wrong_size_and_a_shifted_cloud(demo):
    """The demo's own check fails when depth, cloud or camera_info are not what they promise."""
    folder, _ = demo
    recording = Recording(folder / 'recording')
    frame = recording.frame(recording.stamps[0])
    assert check_frame(frame) == []
    resized = dataclasses.replace(frame, label_HW=frame.label_HW[:-1])
    assert 'label_HW' in check_frame(resized)[0]
    shifted = dataclasses.replace(frame, points_HW=np.roll(frame.points_HW, 1, axis=1))
    assert check_frame(shifted)
    camera = frame.camera.cropped(1, 0, frame.camera.width, frame.camera.height)
    assert 'pixels off' in check_frame(dataclasses.replace(frame, camera=camera))[0]


def test_two_processes_never_claim_the_same_domain():
    code = 'from semdepth_ros.demo.domain import claim_domain; print(claim_domain(), flush=True); '
    code += 'import sys; sys.stdin.read()'
    processes = [
        subprocess.Popen([sys.executable, '-c', code], stdin=-1, stdout=-1, text=True)
        for _ in range(3)
    ]
    domains = [int(process.stdout.readline()) for process in processes]
    for process in processes:
        process.communicate()
    assert len(set(domains)) == 3
