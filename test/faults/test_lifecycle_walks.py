"""A hundred random walks through the lifecycle, in one process: all works, nothing leaks."""

import gc
import os
import random
import threading

import pytest

pytest.importorskip('rclpy')

from fault_node import FaultEngine
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import TransitionCallbackReturn

from semdepth_ros.ros import network
from semdepth_ros.weights import load

DIAGRAM = {
    ('unconfigured', 'configure'): 'inactive',
    ('inactive', 'activate'): 'active',
    ('active', 'deactivate'): 'inactive',
    ('inactive', 'cleanup'): 'unconfigured',
    ('unconfigured', 'shutdown'): 'finalized',
    ('inactive', 'shutdown'): 'finalized',
    ('active', 'shutdown'): 'finalized',
}
LABELS = ('configure', 'activate', 'deactivate', 'cleanup', 'shutdown')


@pytest.fixture
def make_node(bench, tiny_weights, tmp_path, monkeypatch):
    """Give a function that makes a node whose weights and engine are there at once."""
    from semdepth_ros.ros.depth_node import DepthNode

    file = tmp_path / 'fault'
    file.write_text('')
    weights = load(tiny_weights)
    engines = []

    def create_engine(weights, *, batch, width, height, **options):
        engines.append(FaultEngine(file, batch, width, height))
        return engines[-1]

    monkeypatch.setattr(network, 'create_engine', create_engine)
    monkeypatch.setattr(network, 'load_or_untrained', lambda path: weights)
    nodes = []

    def make():
        nodes.append(DepthNode())
        return nodes[-1], engines

    yield make
    for node in nodes:
        node.close(1.0)
        node.destroy_node()


def state_of(node):
    return node._state_machine.current_state[1]


def walk_once(node, walk, steps):
    state = state_of(node)
    for _ in range(steps):
        # Shutdown ends a walk; rarely, so that most walks get far.
        label = walk.choice(LABELS if walk.random() < 0.2 else LABELS[:4])
        reached = DIAGRAM.get((state, label))
        try:
            succeeded = getattr(node, f'trigger_{label}')() == TransitionCallbackReturn.SUCCESS
        except RCLError:
            # rclpy's refusal of a shutdown that comes twice.
            succeeded = False
        assert succeeded == (reached is not None), (state, label)
        state = reached or state
        assert state_of(node) == state
        workers = [t for t in threading.enumerate() if t.name == 'depth worker']
        assert len(workers) == (state == 'active')
        if state == 'finalized':
            return


def test_a_hundred_random_walks_leave_a_node_that_works_and_nothing_behind(make_node):
    """Guard: `DepthNode._stop` (depth_node.py), which joins the worker, and `_release`, which
    closes the engine and takes the publishers away."""
    walk = random.Random(0)
    node, engines = make_node()
    topics = len(list(node.publishers))
    walk_once(node, random.Random(99), 5)
    finalized, files = 0, None
    for number in range(100):
        if state_of(node) == 'finalized':
            finalized += 1
            node.destroy_node()
            node, engines = make_node()
        walk_once(node, walk, walk.randint(1, 12))
        if number == 20:
            gc.collect()
            files = len(os.listdir('/proc/self/fd'))
    assert finalized > 10
    if state_of(node) != 'finalized':
        node.trigger_shutdown()
    assert len(list(node.publishers)) == topics
    assert all(engine._is_closed for engine in engines)
    gc.collect()
    assert len(os.listdir('/proc/self/fd')) <= files + 5
