"""ResNet-18 and ResNet-50 encoders (K. He et al., CVPR 2016), named as torchvision names them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.networks.imagenet import EncoderWeightsError, Normalize, load_strictly


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; ResNet-18 is built from it."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, `width` channels at 1/stride of the input's size."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 (carrying the stride, as in torchvision) and 1x1 convolution; ResNet-50's block."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, 4 `width` channels at 1/stride of the input's size."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x), inplace=True)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


_ARCHITECTURES: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    50: (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """ResNet encoder: features at strides 2, 4, 8, 16 and 32, without the classifier.

    Attributes:
        feature_channels: channels of the feature map at each stride.
    """

    def __init__(self, depth: int) -> None:
        """Build the encoder with random weights.

        Args:
            depth: 18 or 50.

        Raises:
            EncoderWeightsError: for any other depth.
        """
        super().__init__()
        if depth not in _ARCHITECTURES:
            raise EncoderWeightsError(f'ResNet depth is {depth}, expected 18 or 50')
        block, counts = _ARCHITECTURES[depth]
        self.normalize = Normalize()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.feature_channels = {2: 64}
        channels = 64
        for index, count in enumerate(counts):
            width = 64 * 2**index
            blocks = []
            for number in range(count):
                stride = 2 if index > 0 and number == 0 else 1
                blocks.append(block(channels, width, stride))
                channels = width * block.expansion
            self.add_module(f'layer{index + 1}', nn.Sequential(*blocks))
            self.feature_channels[4 * 2**index] = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, image_B3HW: Tensor) -> dict[int, Tensor]:
        """Return the feature maps by stride.

        Args:
            image_B3HW: RGB in [0, 1]; ImageNet mean and deviation are applied inside.
        """
        x = F.relu(self.bn1(self.conv1(self.normalize(image_B3HW))), inplace=True)
        features = {2: x}
        x = F.max_pool2d(x, 3, 2, 1)
        for index in range(4):
            x = self.get_submodule(f'layer{index + 1}')(x)
            features[4 * 2**index] = x
        return features

    def load_imagenet(self, source: str | Path | None = None) -> None:
        """Load ImageNet weights from wherever they are.

        Args:
            source: a file for `load_torchvision`, else a name or folder for `load_transformers`.

        Raises:
            EncoderWeightsError: when there is no source, or it cannot be read or does not fit.
        """
        if source is None:
            raise EncoderWeightsError(
                'ResNet has no encoder weights, expected a file in the format of torchvision '
                'or the name of a model of transformers'
            )
        if Path(source).is_file() or Path(source).suffix in ('.pth', '.safetensors'):
            self.load_torchvision(source)
        else:
            self.load_transformers(source)

    def load_torchvision(self, source: str | Path | Mapping[str, Tensor]) -> None:
        """Load weights in torchvision's format, such as `resnet18-f37072fd.pth`.

        Args:
            source: a state dict, or the path of one (`.pth`, `.safetensors`); `fc.*` is ignored.

        Raises:
            EncoderWeightsError: when the file cannot be read or a tensor does not fit.
        """
        load_strictly(self, source, classifier=('fc.',))

    def load_transformers(self, name_or_path: str | Path) -> None:
        """Load the weights of a transformers ResNet, such as `microsoft/resnet-50`.

        Args:
            name_or_path: a name of the model hub, or a folder that `save_pretrained` wrote.

        Raises:
            EncoderWeightsError: when transformers is absent, cannot load it, or it does not fit.
        """
        try:
            from transformers import AutoBackbone, AutoConfig
        except ImportError as error:
            raise EncoderWeightsError(
                f'encoder weights {name_or_path} need the package transformers, '
                "expected 'pip install semdepth_ros[transformers]'"
            ) from error
        source = str(name_or_path)
        try:
            config = AutoConfig.from_pretrained(source)
            if config.model_type != 'resnet':
                raise EncoderWeightsError(
                    f"encoder weights {source}: model type {config.model_type!r}, expected 'resnet'"
                )
            # AutoBackbone.from_pretrained asks the hub even for a local folder; its class does not.
            backbone, report = type(AutoBackbone.from_config(config)).from_pretrained(
                source, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderWeightsError(
                f'encoder weights {source}: transformers cannot load a backbone ({reason})'
            ) from error
        if report['missing_keys']:
            raise EncoderWeightsError(
                f'encoder weights {source} lack {min(report["missing_keys"])}, '
                'expected every tensor of a ResNet backbone'
            )
        state = {_torchvision_name(k): v for k, v in backbone.state_dict().items()}
        load_strictly(self, state, classifier=())


def _torchvision_name(name: str) -> str:
    """Translate a parameter name of transformers' ResNet backbone to torchvision's."""
    name = name.replace('embedder.embedder.convolution', 'conv1')
    name = name.replace('embedder.embedder.normalization', 'bn1')
    match = re.match(r'encoder\.stages\.(\d+)\.layers\.(\d+)\.(.*)', name)
    if not match:
        return name
    rest = match[3].replace('shortcut.convolution', 'downsample.0')
    rest = rest.replace('shortcut.normalization', 'downsample.1')
    rest = re.sub(r'layer\.(\d+)\.convolution', lambda m: f'conv{int(m[1]) + 1}', rest)
    rest = re.sub(r'layer\.(\d+)\.normalization', lambda m: f'bn{int(m[1]) + 1}', rest)
    return f'layer{int(match[1]) + 1}.{match[2]}.{rest}'
