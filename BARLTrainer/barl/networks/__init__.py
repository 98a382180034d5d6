"""Networks with a look into every decoder scale."""

from barl.networks.decoder import Taps
from barl.networks.halvings import STRIDE, Halvings, halvings_for
from barl.networks.network import EncoderDecoder, NetworkSettings
from barl.networks.res_vnet import RESNET18, RESNET34, ResVNet
from barl.networks.vnet import VNet

__all__ = [
    "RESNET18",
    "RESNET34",
    "STRIDE",
    "EncoderDecoder",
    "Halvings",
    "NetworkSettings",
    "ResVNet",
    "Taps",
    "VNet",
    "halvings_for",
]
