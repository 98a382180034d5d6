"""V-Net with 16 base filters, as the semi-supervised literature uses it (9.4 M parameters).

Milletari et al. 2016, https://arxiv.org/abs/1606.04797. Deviations that this literature shares: 3 x 3 x 3 instead of
5 x 5 x 5 kernels, skips are added instead of concatenated, no residual sums inside a level.
"""

from __future__ import annotations

from torch import Tensor, nn

from barl.networks.blocks import ConvStack, Down
from barl.networks.network import EncoderDecoder, NetworkSettings, init_weights


class VNet(EncoderDecoder):
    """Four levels of plain convolutions down, four up.

    Args:
        in_channels: channels of the image, 1 or more.
        num_classes: K, background included, 2 to 32.
        settings: size and kind.
    """

    def __init__(self, in_channels: int, num_classes: int, settings: NetworkSettings) -> None:
        super().__init__(num_classes, settings)
        kind, halvings = settings.normalization, settings.halvings
        widths = [settings.base_filters * 2**level for level in range(5)]
        depths = [1, 2, 3, 3, 3]
        self.blocks = nn.ModuleList(
            ConvStack(depths[i], in_channels if i == 0 else widths[i], widths[i], kind, halvings.kernel(i))
            for i in range(5)
        )
        self.downs = nn.ModuleList(Down(widths[i], widths[i + 1], kind, halvings.stride(i)) for i in range(4))
        init_weights(self)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Bottleneck at stride 16 and skips at strides 1, 2, 4, 8."""
        skips = []
        for block, down in zip(self.blocks[:-1], self.downs, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        return self.blocks[-1](x), skips
