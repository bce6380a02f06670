import dataclasses
from pathlib import Path

import pytest
import torch
import yaml

from semdepth_ros.weights.default import load_or_untrained
from semdepth_training.build import build_objective
from semdepth_training.config import ConfigError, TrainConfig, make_parser, parse

FOLDER = Path(__file__).parents[2] / 'config' / 'train'
REST = ['--bags', 'bag', '--output', 'out']


def parsed(*arguments):
    return parse([*REST, *arguments])[0]


@pytest.mark.parametrize('name', sorted(path.stem for path in FOLDER.glob('*.yaml')))
def test_every_shipped_configuration_is_valid(name):
    config = parsed('--config', str(FOLDER / f'{name}.yaml'))
    content = yaml.safe_load((FOLDER / f'{name}.yaml').read_text())
    assert config.model.depth == content['model']['depth']
    assert config.optimizer.batch == content['optimizer']['batch']


def test_the_promised_configurations_are_there():
    names = {path.stem for path in FOLDER.glob('*.yaml')}
    assert names >= {'packnet_semantic', 'packnet', 'resnet18_semantic', 'resnet18', 'smoke'}


def test_defaults_are_the_numbers_of_the_paper():
    config = TrainConfig()
    assert dataclasses.astuple(config.loss) == (0.85, True, 0.001, 0.05)
    assert (config.optimizer.depth_lr, config.optimizer.pose_lr) == (2e-4, 5e-4)
    assert (config.optimizer.epochs, config.optimizer.halve_every) == (100, 40)
    augmentation = config.augmentation
    assert (augmentation.brightness, augmentation.contrast) == (0.2, 0.2)
    assert (augmentation.saturation, augmentation.hue, augmentation.flip) == (0.2, 0.05, 0.5)
    assert config.stage_two.resampling.max_below_ground == 10
    assert config.stage_two.start == 'scratch'
    assert (config.data.width, config.data.height) == (640, 192)


def test_the_command_line_overrides_the_file(tmp_path):
    file = tmp_path / 'c.yaml'
    file.write_text('seed: 3\noptimizer: {epochs: 7, batch: 2}\n')
    config = parsed('--config', str(file), '--optimizer.epochs', '9')
    assert (config.seed, config.optimizer.epochs, config.optimizer.batch) == (3, 9, 2)


def test_an_unknown_key_in_a_file_is_named_with_the_nearest(tmp_path):
    file = tmp_path / 'c.yaml'
    file.write_text('optimizer: {epoch: 7}\n')
    with pytest.raises(ConfigError, match=r"c\.yaml: unknown key 'optimizer\.epoch', the nearest is"
                                          r" 'optimizer\.epochs'"):  # fmt: skip
        parsed('--config', str(file))


def test_an_unknown_option_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown key 'loss\.velocty'.*'loss\.velocity'"):
        parsed('--loss.velocty', '1')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--optimizer.epochs', 'seven'], r'optimizer\.epochs'),
        (['--optimizer.epoch_steps', '-1'], r'optimizer\.epoch_steps is -1, expected at least 0'),
        (['--optimizer.batch', '0'], r'optimizer\.batch is 0, expected at least 1'),
        (['--data.width', '100'], r'data\.width is 100, expected a multiple of 32'),
        (['--device.precision', 'int8'], r"device\.precision is 'int8'"),
        (['--stage_two.start', 'middle'], r'scratch or finetune'),
        (['--config', 'absent.yaml'], r'absent\.yaml cannot be read'),
    ],
)
def test_a_wrong_value_is_one_sentence(arguments, message):
    from semdepth_ros.errors import SemdepthError

    with pytest.raises(SemdepthError, match=message) as error:
        parsed(*arguments)
    assert '\n' not in str(error.value)


def test_a_file_that_is_no_yaml_is_one_sentence(tmp_path):
    file = tmp_path / 'c.yaml'
    file.write_text('a: [1\nb: }')
    with pytest.raises(ConfigError, match=r'is no YAML') as error:
        parsed('--config', str(file))
    assert '\n' not in str(error.value)


def test_options_of_a_network_can_be_given_on_the_command_line():
    config = parsed(
        '--model.depth', 'resnet18', '--model.depth_options.decoder_channels', '[4,4,4,4,4]'
    )
    assert config.model.depth_options['decoder_channels'] == [4, 4, 4, 4, 4]


def test_guidance_can_be_set_on_the_command_line(tmp_path):
    config = parsed(
        '--config', str(FOLDER / 'resnet18_semantic.yaml'), '--model.guidance.channels', '8'
    )
    assert (config.model.guidance.channels, config.model.guidance.kernel_size) == (8, 3)


def test_help_describes_every_key():
    text = ' '.join(make_parser().format_help().split())
    for words in ('edge-aware smoothness', 'frames between the images of a triplet',
                  'pixels under the ground plane', 'largest norm of the gradient'):  # fmt: skip
        assert words in text


def test_fine_tuning_goes_on_from_the_shipped_weights():
    config = parsed('--config', str(FOLDER / 'finetune.yaml'))
    objective, model = build_objective(config, 185.6, 1.0)
    shipped = load_or_untrained(None)
    assert model == shipped.card.model
    for name, value in shipped.model.state_dict().items():
        assert torch.equal(objective.model.state_dict()[name], value), name
