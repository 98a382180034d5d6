"""SemiGDA for volumes: generative dual-distribution alignment (Huang et al. 2026, https://arxiv.org/abs/2604.23274).

A mask autoencoder learns the distribution of the cohort's own annotations. Two structurally different encoders map
images to it, aligned with the masks' codes and with each other (Dual-distribution Alignment Module, DAM). Then
adapters of each branch bring its encoder's details to the decoder that both share, and each branch learns from the
other on unlabeled patches (Consistency-Driven Skip Adapters, CDSA). The published system is 2-D and stands on a
pretrained autoencoder of pictures; what was changed and why is in docs/methods/semigda.md.

    stage 1: L = L_masks + sum_b L_sup,b(decoded without skips) + a L_align
    stage 2: L = sum_b L_sup,b(decoded with skips) + a L_align + w(t) sum_b PseudoCE-Dice(p_b, sg p_b')
    L_align = sum_b W(z_b, sg z_mask) + w(t) sum_b W(z_b, sg z_b')

Shapes: L labeled patches, U unlabeled patches, K classes, Z latent channels, d h w latent cells, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.losses.consistency import confident_label, pseudo_supervision
from barl.losses.distribution_alignment import (
    divergence_from_normal,
    known_classes,
    known_share,
    mean_over_cells,
    wasserstein,
)
from barl.methods.common.deep_supervision import check_supervised_scales, supervised_by
from barl.methods.common.ramps import sigmoid_ramp
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import NetworkSettings
from barl.networks.adapters import SkipAdapters
from barl.networks.latent import LATENT_LEVEL, Gaussian, LatentDecoder, MaskEncoder
from barl.networks.latent_encoders import Encoded, MappingEncoder, ResidualEncoder

_NAMES = ("mapping", "residual")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned. A weight of 0 switches a part off."""

    supervised_scales: int = 4
    """Scales of the shared decoder that learn from labels, 1 (only the finest, as published) to 4 (all): all, as in
    our other methods; what it gains was measured with `supervised` and `barl` (docs/lab-notes.md)."""

    first_stage_share: float = 0.15
    """Share of the training in which codes are aligned and nothing else (200 of 550 epochs in the paper, whose decoder
    is trained already): the second stage is the one that draws borders."""

    latent_channels: int = 16
    """Numbers that describe a cell of 8 x 8 x 8 voxels; 4 for 8 x 8 pixels in the paper."""

    alignment_weight: float = 1.0
    """Weight of the alignment of codes, in both stages."""

    unlabeled_weight: float = 0.3
    """Weight of the alignment of the two codes of an unlabeled patch, and of the branches' learning from each other,
    once the ramp is over; as published."""

    ramp_share: float = 0.5
    """Share of the training until that weight is full; in the paper, about the first stage and as long again."""

    threshold: float = 0.93
    """Least probability of the other branch's label, 0.5^(1/10) = 0.933 in the paper."""

    sampled_share: float = 0.5
    """Share of patches whose code is drawn from its distribution instead of being its mean (stage 2), as published:
    the decoder learns that near codes mean near masks."""

    normal_weight: float = 0.001
    """Weight of the masks' codes' divergence from the normal distribution, a mean over channels and cells: enough to
    keep their scale, not enough to blur them."""

    frozen_decoder: bool = False
    """Whether the decoder stays as it is in stage 2, as published. Ours has seen a few masks for a minute, not millions
    of pictures, and has more to learn."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)
        for name in ("first_stage_share", "ramp_share", "threshold", "sampled_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("alignment_weight", "unlabeled_weight", "normal_weight"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 1 <= self.latent_channels <= 256:
            raise SettingsError(f"latent_channels must be from 1 to 256, got {self.latent_channels}")


class Branches(nn.Module):
    """The mask autoencoder, and two encoders with adapters that share its decoder."""

    def __init__(self, in_channels: int, num_classes: int, latent_channels: int, network: NetworkSettings) -> None:
        super().__init__()
        self.mask_encoder = MaskEncoder(num_classes, latent_channels, network)
        self.decoder = LatentDecoder(num_classes, latent_channels, network)
        self.mapping = MappingEncoder(in_channels, latent_channels, network)
        self.residual = ResidualEncoder(in_channels, latent_channels, network)
        self.mapping_adapters = SkipAdapters(network)
        self.residual_adapters = SkipAdapters(network)

    def encode(self, x: Tensor) -> dict[str, Encoded]:
        """Both branches' codes of a patch, and their skips."""
        return {"mapping": self.mapping(x), "residual": self.residual(x)}

    def decode(self, name: str, code: Tensor, skips: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Logits of a branch at all scales, with its skips; the last of them is (B, K, D, H, W)."""
        logits: tuple[Tensor, ...] = self.decoder(code, skips, getattr(self, f"{name}_adapters"))
        return logits


class SemiGda:
    """Two encoders that regress one distribution and share one decoder."""

    settings_class = Settings
    num_branches = 2
    needs_unlabeled = True

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network

    def build(self, in_channels: int, num_classes: int) -> Branches:
        """Autoencoder, encoders, adapters."""
        return Branches(in_channels, num_classes, self.settings.latent_channels, self.network)

    def training_step(self, model: Branches, batch: Batch, progress: Progress) -> LossTerms:
        """First the distribution, then the details; the share of the training that is over decides."""
        first = progress.done < self.settings.first_stage_share
        model.decoder.requires_grad_(first or not self.settings.frozen_decoder)
        images = torch.cat([batch.labeled, batch.strong])
        return (self._first_stage if first else self._second_stage)(model, model.encode(images), batch, progress)

    def after_step(self, model: Branches, progress: Progress) -> None:
        """Nothing."""

    def predict(self, model: Branches, patch: Tensor) -> Tensor:
        """Both branches, by the means of their codes."""
        encoded = model.encode(patch)
        return torch.stack([model.decode(name, one.code.mean, one.skips)[-1] for name, one in encoded.items()], dim=1)

    def _first_stage(
        self, model: Branches, encoded: Mapping[str, Encoded], batch: Batch, progress: Progress
    ) -> LossTerms:
        """DAM: the autoencoder learns masks, the encoders its codes. Decoding them shows which errors matter."""
        count = len(batch.label)
        mask = self._mask_code(model, batch.label)
        codes = [_drawn(mask, 1.0), *(one.code.mean[:count] for one in encoded.values())]
        decoded = list(zip(*(scale.split(count) for scale in model.decoder(torch.cat(codes))), strict=True))
        blurred = mean_over_cells(divergence_from_normal(*mask), self._known_share(batch.label))
        parts = {
            "supervised": _sum([self._supervised(logits, batch.label) for logits in decoded[1:]]),
            "masks": self._supervised(decoded[0], batch.label) + self.settings.normal_weight * blurred,
            "alignment": self._alignment(encoded, mask.detached(), batch, progress),
        }
        return self._weighted(parts, progress)

    def _second_stage(
        self, model: Branches, encoded: Mapping[str, Encoded], batch: Batch, progress: Progress
    ) -> LossTerms:
        """CDSA: decoded with skips; on unlabeled patches each branch learns from the other."""
        count = len(batch.label)
        scales = {
            name: model.decode(name, _drawn(one.code, self.settings.sampled_share), one.skips)
            for name, one in encoded.items()
        }
        with torch.no_grad():
            mask = self._mask_code(model, batch.label)
        parts = {
            "supervised": _sum([self._supervised(of_branch, batch.label) for of_branch in scales.values()]),
            "alignment": self._alignment(encoded, mask, batch, progress),
            "consistency": self._consistency({name: one[-1][count:] for name, one in scales.items()}, batch),
        }
        return self._weighted(parts, progress)

    def _supervised(self, scales: Sequence[Tensor], label: Tensor) -> Tensor:
        return supervised_by(scales, label, self.settings.supervised_scales)

    def _weighted(self, parts: Mapping[str, Tensor], progress: Progress) -> LossTerms:
        s = self.settings
        weights = {"alignment": s.alignment_weight, "consistency": self._unlabeled_weight(progress)}
        total = _sum([weights.get(name, 1.0) * part for name, part in parts.items()])
        return LossTerms(total, {name: part.detach() for name, part in parts.items()})

    def _unlabeled_weight(self, progress: Progress) -> float:
        return self.settings.unlabeled_weight * sigmoid_ramp(progress.done, self.settings.ramp_share)

    def _mask_code(self, model: Branches, label: Tensor) -> Gaussian:
        code: Gaussian = model.mask_encoder(known_classes(label, model.decoder.num_classes))
        return code

    def _known_share(self, label: Tensor) -> Tensor:
        return known_share(label, self.network.halvings.shrink(LATENT_LEVEL))

    def _alignment(self, encoded: Mapping[str, Encoded], mask: Gaussian, batch: Batch, progress: Progress) -> Tensor:
        """Both codes with the mask's where it is known, and with each other on unlabeled patches."""
        count = len(batch.label)
        known = self._known_share(batch.label)
        weight = self._unlabeled_weight(progress)
        losses = []
        for name, one in encoded.items():
            other = encoded[_other(name)].code.detached()
            losses.append(mean_over_cells(_apart(one.code.patches(0, count), mask), known))
            losses.append(weight * _apart(one.code.patches(count), other.patches(count)).mean())
        return _sum(losses)

    def _consistency(self, logits: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Each branch learns what the other is sure of, and what was pasted."""
        losses = []
        for name, own in logits.items():
            belief = batch.belief_on_strong(logits[_other(name)].detach().float().softmax(dim=1))
            losses.append(pseudo_supervision(own, confident_label(belief, self.settings.threshold)))
        return _sum(losses)


def _drawn(code: Gaussian, share: float) -> Tensor:
    """The mean, in a share of the patches plus the deviation times normal noise; drawn on the device."""
    chosen = torch.rand(len(code.mean), 1, 1, 1, 1, device=code.mean.device) < share
    return code.mean + chosen * code.deviation * torch.randn_like(code.mean)


def _apart(code: Gaussian, other: Gaussian) -> Tensor:
    return wasserstein(code.mean, code.deviation, other.mean, other.deviation)


def _other(name: str) -> str:
    return _NAMES[1] if name == _NAMES[0] else _NAMES[0]


def _sum(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum()
