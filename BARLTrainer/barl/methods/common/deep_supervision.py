"""Labels for every decoder scale: what all methods share that learn with a plain V-Net.

Deep supervision (Lee et al. 2015, https://arxiv.org/abs/1409.5185), with the weights of nnU-Net (Isensee et al. 2021,
https://doi.org/10.1038/s41592-020-01008-z): half as much for each coarser scale.

Shapes: L labeled patches, U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.supervised import deep_dice_ce
from barl.methods.protocol import Batch
from barl.networks import EncoderDecoder
from barl.networks.halvings import LEVELS

SCALES = LEVELS
"""Of a decoder."""


def check_supervised_scales(count: int) -> None:
    """Refuse a number of scales that no decoder has.

    Raises:
        SettingsError: it is not from 1 to ``SCALES``.
    """
    if not 1 <= count <= SCALES:
        raise SettingsError(f"supervised_scales must be from 1 to {SCALES}, got {count}")


def supervised_by(logits: Sequence[Tensor], label: Tensor, scales: int) -> Tensor:
    """What labels teach a decoder's finest ``scales``; a scalar.

    Args:
        logits: of all scales, coarse to fine, (L or more, K, D / s, H / s, W / s); patches behind the labeled ones are
            left out.
        label: (L, D, H, W) class index, 255 where not annotated.
        scales: decoder scales that learn, 1 to ``SCALES``.
    """
    return deep_dice_ce(tuple(scale[: len(label)] for scale in logits[-scales:]), label)


def from_labels(network: EncoderDecoder, patches: Tensor, label: Tensor, scales: int) -> Tensor:
    """What labeled patches teach a network, at its finest ``scales``; a scalar.

    Args:
        network: learns.
        patches: (L, C, D, H, W).
        label: (L, D, H, W) class index, 255 where not annotated.
        scales: decoder scales that learn, 1 to ``SCALES``.
    """
    return supervised_by(network.taps(patches).logits, label, scales)


def from_coarse_scales(logits: Sequence[Tensor], label: Tensor, scales: int) -> Tensor:
    """What labels teach the scales above the finest; a scalar, 0 where only the finest learns.

    For methods that have terms of their own at the finest scale.

    Args:
        logits: of all scales, as in :func:`supervised_by`.
        label: (L, D, H, W) class index, 255 where not annotated.
        scales: decoder scales that learn, the finest included, 1 to ``SCALES``.
    """
    return 0.5 * supervised_by(logits[:-1], label, scales - 1) if scales > 1 else logits[-1].new_zeros(())


def labeled_and_strong(network: EncoderDecoder, batch: Batch, scales: int) -> tuple[Tensor, Tensor, Tensor]:
    """One pass over labeled patches and strong views.

    Args:
        network: learns.
        batch: what is looked at.
        scales: decoder scales that learn from labels, 1 to ``SCALES``.

    Returns:
        What the labels teach, a scalar; the finest logits of the labeled patches, (L, K, D, H, W); and those of the
        strong views, (U, K, D, H, W).
    """
    count = len(batch.labeled)
    logits = network.taps(torch.cat([batch.labeled, batch.strong])).logits
    return supervised_by(logits, batch.label, scales), logits[-1][:count], logits[-1][count:]
