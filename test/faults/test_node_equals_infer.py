"""The node and `semdepth infer` say the same of the same frame, bit for bit."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')

from ros_harness import NodeProcess, image, image_array, info
from sensor_msgs.msg import Image

from semdepth_ros.bags.drive import Drive

DEPTH = '/depth_node/depth/image_rect'


@pytest.mark.parametrize('engine', ['torch'])
def test_depth_of_the_node_is_depth_of_infer_bit_for_bit(
    bench, tiny_weights, street_bag, tmp_path, engine
):
    """Guard: `FramePipeline` (pipeline.py), the one path that both take."""
    options = {'engine': engine, 'device': 'cpu', 'precision': 'float32'}
    # As many threads for both: another split of a sum rounds differently.
    environment = dict(os.environ, OMP_NUM_THREADS='1', ROS_LOG_DIR=str(tmp_path))
    command = [sys.executable, '-m', 'semdepth_ros.cli', 'infer', str(street_bag)]
    command += ['--output', str(tmp_path / 'out'), '--weights', str(tiny_weights)]
    command += [text for name, value in options.items() for text in (f'--{name}', value)]
    subprocess.run([*command, '--kinds', 'depth'], env=environment, check=True)
    depths = sorted((tmp_path / 'out' / 'depth').glob('*.npy'))

    drive = Drive(street_bag)
    bench.listen(Image, DEPTH)
    parameters = [f'-p {name}:={value}' for name, value in options.items()]
    arguments = [part for text in parameters for part in text.split()]
    node = NodeProcess('-p', f'weights:={tiny_weights}', *arguments, environment=environment)
    try:
        for index in (0, len(drive) - 1):
            expected = np.load(depths[index])
            bench.heard[DEPTH].clear()
            bench.show_until(
                lambda number, i=index: (image(drive.image(i), 10 * i + 1.0), info(drive.camera)),
                lambda i=index: [m for m in bench.heard[DEPTH] if m.header.stamp.sec == 10 * i + 1],
                'depth',
            )
            found = image_array(bench.heard[DEPTH][-1])
            assert found.dtype == expected.dtype == np.float32
            assert found.tobytes() == expected.tobytes()
            assert np.isfinite(found).any()
    finally:
        node.stop()
        node.kill()
