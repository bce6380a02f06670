"""The device, precision and processes of a training, by Lightning Fabric."""

from __future__ import annotations

import dataclasses
import os
import shutil

import torch
from lightning.fabric import Fabric
from torch import nn

from semdepth_ros.errors import SemdepthError


class DeviceError(SemdepthError):
    """A device that is not there."""


@dataclasses.dataclass(frozen=True)
class DeviceConfig:
    """What the training runs on. Several processes are started by `torchrun`.

    Attributes:
        accelerator: 'auto', 'cpu' or 'cuda'.
        precision: '32-true' or 'bf16-mixed'; geometry and losses are float32 in any case.
        channels_last: whether convolutions on CUDA work on channels-last memory.
        threads: CPU threads of torch for each process; 0 leaves torch's choice.
        compile_losses: compile geometry and losses, which takes a minute and a C++ compiler at the
            start and makes every step on CPU shorter, by a sixth for the default network.
    """

    accelerator: str = 'auto'
    precision: str = '32-true'
    channels_last: bool = True
    threads: int = 0
    compile_losses: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (
            ('accelerator', ('auto', 'cpu', 'cuda')),
            ('precision', ('32-true', 'bf16-mixed')),
        ):
            if getattr(self, name) not in allowed:
                raise DeviceError(
                    f'device.{name} is {getattr(self, name)!r}, expected one of '
                    + ', '.join(allowed)
                )


def launch(config: DeviceConfig) -> Fabric:
    """Return Fabric for this process: alone, or one of those that `torchrun` started.

    Raises:
        DeviceError: when CUDA, or a compiler, is asked for and not there.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.accelerator == 'cuda' and not torch.cuda.is_available():
        raise DeviceError('device.accelerator is cuda, but torch finds no CUDA device')
    if config.compile_losses and not any(
        map(shutil.which, (os.environ.get('CXX', 'g++'), 'clang++'))
    ):
        raise DeviceError(
            'device.compile_losses is true, but there is no C++ compiler (CXX, g++, clang++)'
        )
    uses_cuda = config.accelerator != 'cpu' and torch.cuda.is_available()
    world = int(os.environ.get('WORLD_SIZE', '1'))
    local = int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
    fabric = Fabric(
        accelerator='cuda' if uses_cuda else 'cpu',
        devices=local,
        num_nodes=world // local,
        strategy='ddp' if world > 1 else 'auto',
        precision=config.precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def prepare_module(fabric: Fabric, module: nn.Module, config: DeviceConfig) -> nn.Module:
    """Return a module made fit for the device: batch statistics over all GPUs, channels last.

    Networks with batch normalisation see their own process's share of the batch on CPU, where torch
    has no synchronised form; those with GroupNorm or frozen statistics do not care.
    """
    if fabric.device.type != 'cuda':
        return module
    if fabric.world_size > 1:
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    if config.channels_last:
        # Module.to(channels_last) refuses the five-dimensional weights of packing.
        for parameter in module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def reduce(fabric: Fabric, tensor: torch.Tensor, how: str) -> torch.Tensor:
    """Return the 'mean' or 'sum' of a tensor over all processes."""
    result = fabric.all_reduce(tensor, reduce_op=how)
    assert isinstance(result, torch.Tensor)
    return result
