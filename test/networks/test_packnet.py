from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from semdepth_ros.networks.layers import ImageSizeError
from semdepth_ros.networks.packnet import SLIM_CHANNELS, SLIM_FEATURES, PackNet
from semdepth_ros.networks.pose import PoseNet

SMALL = {'channels': (16, 16, 16, 32, 32), 'features': 4}


def small_pair() -> tuple[PackNet, PackNet]:
    """A plain and a fusing network of equal, arbitrary weights, in float64."""
    torch.manual_seed(0)
    plain, fused = PackNet(**SMALL, fused=False).double(), PackNet(**SMALL).double()
    with torch.no_grad():
        for parameter in plain.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    fused.load_state_dict(plain.state_dict())
    return plain.eval(), fused.eval()


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_sizes_are_the_published_ones():
    with torch.device('meta'):
        assert parameters(PackNet()) == 128_294_020
        assert PackNet().guided_channels == {16: 512, 8: 256, 4: 128, 2: 64}
        assert round(parameters(PackNet(SLIM_CHANNELS, SLIM_FEATURES)) / 1e6, 1) == 77.0
        assert parameters(PoseNet()) == 1_592_684


def test_four_inverse_depths_finest_first_in_training_and_in_evaluation():
    network = PackNet(**SMALL)
    for mode in (True, False):
        inv_depths = network.train(mode)(torch.rand(2, 3, 32, 64))
        assert [tuple(d.shape) for d in inv_depths] == [
            (2, 1, 32, 64),
            (2, 1, 16, 32),
            (2, 1, 8, 16),
            (2, 1, 4, 8),
        ]
        assert all(((d > 0) & (d < 2)).all() for d in inv_depths)


def test_the_guide_sees_what_flows_into_the_stages_and_its_answer_is_used():
    network = PackNet(**SMALL).eval()
    image = torch.rand(1, 3, 64, 96)
    seen = {}

    def look(stride, features):
        seen[stride] = tuple(features.shape)
        return features

    with torch.no_grad():
        plain = network(image)
        assert all(torch.equal(a, b) for a, b in zip(network(image, look), plain))
        for changed in (16, 8, 4, 2):
            guided = network(image, lambda s, f, c=changed: f * 0 if s == c else f)
            assert not torch.allclose(guided[0], plain[0])
    assert list(seen) == [16, 8, 4, 2]
    assert seen == {s: (1, c, 64 // s, 96 // s) for s, c in network.guided_channels.items()}


def test_an_image_that_does_not_divide_by_32_is_refused():
    with pytest.raises(ImageSizeError, match='640x190'):
        PackNet(**SMALL)(torch.zeros(1, 3, 190, 640))


@pytest.mark.parametrize('size', [(32, 32), (96, 160)])
def test_the_fused_network_equals_the_plain_one(size):
    plain, fused = small_pair()
    image = torch.rand(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = plain(image)
        for network in (fused, fused.fuse()):
            for a, b in zip(network(image), expected):
                torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_the_fused_network_has_the_plain_ones_gradients():
    plain, fused = small_pair()
    image = torch.rand(1, 3, 32, 64, dtype=torch.float64)
    for network in (plain, fused):
        sum(d.square().mean() for d in network.train()(image)).backward()
    for (name, a), b in zip(fused.named_parameters(), plain.parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-8, atol=1e-10, msg=name)


def test_fusing_changes_neither_names_nor_values_of_the_state():
    plain, fused = small_pair()
    state = fused.fuse().state_dict()
    assert list(state) == list(plain.state_dict())
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in state.items())


def test_fusing_halves_the_work():
    with torch.device('meta'):
        image = torch.empty(1, 3, 192, 640)
        work = {}
        for fused in (False, True):
            network = PackNet(fused=fused).eval()
            if fused:
                network.fuse()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                network(image)
            work[fused] = counter.get_total_flops()
    assert work[False] == pytest.approx(410e9, rel=0.01)
    assert work[True] <= 0.52 * work[False]


def test_the_fused_network_exports_and_onnxruntime_agrees(tmp_path):
    pytest.importorskip('onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime')
    network = PackNet(**SMALL).eval().fuse()
    image = torch.rand(1, 3, 64, 96)
    program = torch.onnx.export(network, (image,), dynamo=True, opset_version=21, verbose=False)
    program.save(tmp_path / 'packnet.onnx')
    operators = {node.op_type for node in program.model.graph}
    assert operators.isdisjoint({'Loop', 'If', 'ScatterND', 'Col2Im'})
    session = onnxruntime.InferenceSession(
        tmp_path / 'packnet.onnx', providers=['CPUExecutionProvider']
    )
    outputs = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = network(image)
    for out, reference in zip(outputs, expected):
        torch.testing.assert_close(torch.from_numpy(out), reference, rtol=1e-4, atol=1e-5)


def reference_state(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Make the weights behind the reference by the rule that its documentation states."""
    state = {}
    for name, shape in shapes.items():
        random = np.random.RandomState(zlib.crc32(name.encode()))
        value = random.standard_normal(shape)
        if len(shape) > 1:
            value *= np.sqrt(2 / np.prod(shape[1:]))
        else:
            value = (1 if name.endswith('weight') else 0) + 0.1 * value
        state[name] = torch.from_numpy(value)
    return state


@pytest.fixture(scope='module')
def packnet_state(shared_data):
    shapes = json.loads(shared_data('weights/packnet_reference_shapes.json').read_text())
    return reference_state(shapes['packnet_1A'])


# In float32 the plain network is itself up to 7e-6 away from float64.
@pytest.mark.parametrize(
    ('mode', 'dtype', 'tolerance'),
    [('plain', torch.float64, 1e-6), ('fuse', torch.float32, 1e-5)],
)
def test_packnet_1a_reproduces_the_official_network(
    mode, dtype, tolerance, packnet_state, shared_data
):
    reference = np.load(shared_data('weights/packnet_reference.npz'))
    with torch.device('meta'):
        network = PackNet(fused=mode != 'plain').eval()
    network.load_state_dict({k: v.to(dtype) for k, v in packnet_state.items()}, assign=True)
    if mode == 'fuse':
        network.fuse()
    with torch.no_grad():
        inv_depths = network(torch.from_numpy(reference['image']).to(dtype))
    for scale, inv_depth in enumerate(inv_depths):
        expected = reference[f'packnet_inv_depth_{scale}']
        np.testing.assert_allclose(inv_depth.numpy(), expected, rtol=tolerance)


def test_the_pose_network_reproduces_the_official_one(shared_data):
    shapes = json.loads(shared_data('weights/packnet_reference_shapes.json').read_text())
    reference = np.load(shared_data('weights/packnet_reference.npz'))
    network = PoseNet().double()
    network.load_state_dict(reference_state(shapes['posenet']))
    target, before, after = (
        torch.from_numpy(reference[f'pose_{name}']).double()
        for name in ('target', 'before', 'after')
    )
    with torch.no_grad():
        pose = network(target, [before, after])
    np.testing.assert_allclose(pose.numpy(), reference['pose'], rtol=1e-5, atol=1e-12)


def test_the_pose_network_gives_one_pose_per_context_image():
    network = PoseNet(context_images=3)
    images = [torch.rand(2, 3, 64, 96) for _ in range(4)]
    poses = network(images[0], images[1:])
    assert poses.shape == (2, 3, 6)
    assert not torch.allclose(poses, network(images[0], images[:0:-1]))
