"""What runs when no weights are named."""

from __future__ import annotations

import pytest
import torch

from semdepth_ros.networks.model import ImageToPrediction
from semdepth_ros.simulation import StreetConfig, StreetDrive, default_camera
from semdepth_ros.weights import default_weights, load, load_or_untrained, save, untrained_model


def test_untrained_weights_say_so_are_the_same_each_time_and_run(tmp_path):
    first, second = untrained_model(), untrained_model()
    assert not first.card.trained
    assert first.model.guidance is not None and first.model.semantic is not None
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    other = untrained_model(seed=1).model.state_dict()
    assert any(not torch.equal(v, other[k]) for k, v in first.model.state_dict().items())
    image = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    with torch.no_grad():
        inv_depth, _, _ = ImageToPrediction(first.model)(image)
    assert torch.isfinite(inv_depth).all()
    save(tmp_path / 'untrained.safetensors', first.model, first.card)
    assert load(tmp_path / 'untrained.safetensors').card == first.card


def test_a_named_file_goes_before_the_default(tmp_path):
    made = untrained_model(seed=3)
    path = tmp_path / 'named.safetensors'
    save(path, made.model, made.card)
    assert load_or_untrained(path).card == made.card


def test_without_a_name_the_packaged_file_runs_or_an_untrained_model():
    packaged = default_weights()
    loaded = load_or_untrained(None)
    assert loaded.path == packaged
    assert loaded.card.trained == (packaged is not None)


def test_guidance_is_alive_in_the_trained_network():
    """Depth follows the semantic features: other features at a place, other depth there."""
    if default_weights() is None:
        pytest.skip('no default weights: semdepth_ros/weights has no *.safetensors')
    loaded = load_or_untrained(None)
    model, card = loaded.model.eval(), loaded.card
    assert model.guidance is not None and model.semantic is not None
    camera = default_camera(card.width, card.height)
    frame = StreetDrive(StreetConfig(seed=1, frames=20, camera=camera)).frame(10)
    image = torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        features = model.semantic(image).features
        shuffled = {
            stride: feature.flatten(2)[
                ..., torch.randperm(feature[0, 0].numel(), generator=generator)
            ].view_as(feature)
            for stride, feature in features.items()
        }
        right, wrong = (
            model.depth(image, model.guidance.bind(given))[0] for given in (features, shuffled)
        )
    # Not relative to each pixel: the sky's inverse depth is next to nothing.
    assert (right - wrong).abs().mean() > 0.02 * right.mean()
