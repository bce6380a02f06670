"""The default weights see five frames of the street world as they did when they were shipped."""

import golden_depth
import numpy as np
import pytest

from semdepth_ros.weights.default import default_weights


@pytest.fixture(scope='module')
def shipped():
    """Return the shipped weights and the golden file made with them."""
    weights = default_weights()
    if weights is None:
        pytest.skip('no default weights: semdepth_ros/weights has no *.safetensors')
    assert golden_depth.FILE.exists(), 'run python test/core/golden_depth.py'
    return weights, np.load(golden_depth.FILE)


def test_the_golden_file_belongs_to_the_shipped_weights(shipped):
    """Guard: the hash that `golden_depth.main` stores. New weights need a new golden file."""
    weights, golden = shipped
    assert str(golden['weights']) == golden_depth.file_hash(weights), (
        'other weights are shipped: run python test/core/golden_depth.py'
    )


def test_depth_and_labels_are_those_that_were_shipped(shipped):
    """Guard: everything between image and depth. Processors round differently in the sixth digit,
    which a network amplifies; what changes a thousandth is another network."""
    weights, golden = shipped
    depth, label = golden_depth.street_depths(weights)
    ratio = np.abs(np.log(depth / golden['depth']))
    assert np.median(ratio) < 1e-4
    assert np.quantile(ratio, 0.999) < 1e-2
    assert (label == golden['label']).mean() > 0.999
