"""The training objective of one batch, in the order of the paper (docs/method.md, section 5)."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semdepth_ros.networks.pose import through_lens
from semdepth_training import losses
from semdepth_training.augmentation import Augmentation, jitter, mirror, zoom
from semdepth_training.losses import Moments
from semdepth_training.pose_geometry import pose_matrix
from semdepth_training.view_synthesis import synthesise


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What the losses weigh; the defaults are the paper's numbers.

    Attributes:
        ssim_weight: share of SSIM in the photometric error, the rest is L1.
        automask: whether pixels that the unwarped context explains better teach nothing.
        smoothness: weight of the edge-aware smoothness of inverse depth, halved at each scale.
        velocity: weight of the speed error in metres, where speed is known; 0 leaves depth up to
            scale.
    """

    ssim_weight: float = 0.85
    automask: bool = True
    smoothness: float = 0.001
    velocity: float = 0.05


@dataclasses.dataclass(frozen=True)
class Batch:
    """Triplets as they come from the loader.

    Attributes:
        images_BNHW3: uint8 RGB; N = 3: target, then the frame before it, then the one after it.
        intrinsics_B4: fx, fy, cx, cy in pixels of these images.
        distance_B2: metres from the target to the frame before and after; NaN where unknown.
        triplet_B: index of the triplet in its data set.
    """

    images_BNHW3: Tensor
    intrinsics_B4: Tensor
    distance_B2: Tensor
    triplet_B: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(
            *(
                getattr(self, field.name).to(device, non_blocking=True)
                for field in dataclasses.fields(self)
            )
        )


@dataclasses.dataclass(frozen=True)
class View:
    """What the networks say about a batch, for losses and pictures.

    Attributes:
        images_BN3HW: float RGB in [0, 1], clean, zoomed where the augmentation says so.
        intrinsics_B4: fx, fy, cx, cy in pixels of these images.
        inv_depths: four inverse depths B1HW at full resolution, of a camera with focal length
            `focal_length`.
        poses_BN6: translation in metres and Euler angles, `T_context_target`.
    """

    images_BN3HW: Tensor
    intrinsics_B4: Tensor
    inv_depths: tuple[Tensor, ...]
    poses_BN6: Tensor


class Objective(nn.Module):
    """Depth network, pose network and the losses between them: from a batch to one scalar.

    Args:
        model: image B3HW in [0, 1] to an output whose `inv_depths` are four scales.
        pose_network: target and list of contexts to (B, N, 6).
        config: the weights of the losses.
        focal_length: focal length fx, in pixels of the network's input, that the network's inverse
            depth belongs to. An image of another focal length f has depth f / focal_length times
            the network's: a thing twice as large in the image may be half as far or twice as
            magnified. The node applies the same rule. What the pose network says is taken for
            motion seen through that lens as well (`networks.pose.through_lens`).
        freeze_batch_norm: keep the statistics of batch normalisation, whatever `train()` says.
    """

    def __init__(
        self,
        model: nn.Module,
        pose_network: nn.Module,
        config: LossConfig,
        focal_length: float,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.pose_network = pose_network
        self.config = config
        self.focal_length = focal_length
        self.freeze_batch_norm = freeze_batch_norm

    def train(self, mode: bool = True) -> Objective:
        """Set the mode of the networks, less what is frozen."""
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, batch: Batch, augmentation: Augmentation) -> dict[str, Tensor]:
        """Return `loss`, `photometric`, `smoothness`, `velocity`, `automask`, each a scalar.

        `velocity` is in metres, `automask` the share of pixels that teach nothing. All but `loss`
        are detached.
        """
        return self.losses(self.view(batch, augmentation), batch)

    def view(self, batch: Batch, augmentation: Augmentation | None = None) -> View:
        """Run both networks; without an augmentation on the images as they are."""
        images, intrinsics = self.clean_images(batch), batch.intrinsics_B4
        inputs = images if augmentation is None else jitter(images, augmentation)
        poses = self.pose_network(inputs[:, 0], [inputs[:, 1], inputs[:, 2]])
        # The pose network sees whole images: how the camera moves is not a matter of the window.
        poses = through_lens(poses, self._magnification(intrinsics))
        if augmentation is not None and augmentation.zoom_B3 is not None:
            inputs, _ = zoom(inputs[:, :1], intrinsics, augmentation.zoom_B3)
            images, intrinsics = zoom(images, intrinsics, augmentation.zoom_B3)
        depth_input = inputs[:, 0]
        if augmentation is not None:
            depth_input = mirror(depth_input, augmentation.flip_B)
        scales = self.model(depth_input).inv_depths
        if augmentation is not None:
            scales = [mirror(inv_depth, augmentation.flip_B) for inv_depth in scales]
        # Nearest, as in the paper: each pixel of a coarse map answers for its own block.
        full = tuple(
            F.interpolate(inv_depth.float(), size=images.shape[-2:], mode='nearest')
            for inv_depth in scales
        )
        return View(images, intrinsics, full, poses.float())

    def clean_images(self, batch: Batch) -> Tensor:
        """Return the images of a batch as float RGB in [0, 1], BN3HW."""
        return batch.images_BNHW3.permute(0, 1, 4, 2, 3).float() / 255

    def losses(self, view: View, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of what the networks said; see `forward`."""
        # Geometry in bfloat16 is off by pixels: whatever the networks run in, this is float32.
        with torch.autocast(view.images_BN3HW.device.type, enabled=False):
            return self._losses(view, batch)

    def compile_losses(self) -> None:
        """Let torch compile geometry and losses at their first use; the values stay the same."""
        self._losses = torch.compile(self._losses)  # type: ignore[method-assign]

    def _losses(self, view: View, batch: Batch) -> dict[str, Tensor]:
        config = self.config
        target = view.images_BN3HW[:, 0]
        contexts = view.images_BN3HW[:, 1:]
        moments = losses.moments(target)
        unwarped = self._errors([contexts[:, 0], contexts[:, 1]], target, moments)
        photometric, smoothness, masked = [], [], []
        for scale, inv_depth in enumerate(view.inv_depths):
            warped = self._errors(self.warp(view, scale), target, moments)
            smallest = losses.minimum_reprojection(warped, unwarped if config.automask else None)
            photometric.append(smallest.mean())
            smoothness.append(losses.smoothness(inv_depth, target) / 2**scale)
            masked.append((unwarped.amin(1) < warped.amin(1)).float().mean())
        mean_photometric = torch.stack(photometric).mean()
        mean_smoothness = torch.stack(smoothness).mean()
        velocity = losses.velocity_error(view.poses_BN6[..., :3], batch.distance_B2)
        loss = mean_photometric + config.smoothness * mean_smoothness + config.velocity * velocity
        return {
            'loss': loss,
            'photometric': mean_photometric.detach(),
            'smoothness': mean_smoothness.detach(),
            'velocity': velocity.detach(),
            'automask': masked[0].detach(),
        }

    def depth(self, inv_depth_B1HW: Tensor, intrinsics_B4: Tensor) -> Tensor:
        """Return the depth of images with these intrinsics, B1HW, in metres where it is metric."""
        magnification = self._magnification(intrinsics_B4)[:, None, None, None]
        return magnification / inv_depth_B1HW.clamp(min=1e-6)

    def _magnification(self, intrinsics_B4: Tensor) -> Tensor:
        return intrinsics_B4[:, 0] / self.focal_length

    def warp(self, view: View, scale: int = 0) -> list[Tensor]:
        """Return the target synthesised from each context image with the depth of one scale."""
        depth = self.depth(view.inv_depths[scale], view.intrinsics_B4)
        return [
            synthesise(
                view.images_BN3HW[:, 1 + context],
                depth,
                view.intrinsics_B4,
                pose_matrix(view.poses_BN6[:, context]),
            )
            for context in range(2)
        ]

    def _errors(self, estimates: list[Tensor], target: Tensor, moments: Moments) -> Tensor:
        weight = self.config.ssim_weight
        return torch.cat(
            [losses.photometric_error(e, target, weight, moments) for e in estimates], dim=1
        )
