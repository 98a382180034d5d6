"""Networks with a look into every decoder scale."""

from barl.networks.decoder import STRIDE, Taps
from barl.networks.network import EncoderDecoder, NetworkSettings
from barl.networks.res_vnet import RESNET18, RESNET34, ResVNet
from barl.networks.vnet import VNet

__all__ = ["RESNET18", "RESNET34", "STRIDE", "EncoderDecoder", "NetworkSettings", "ResVNet", "Taps", "VNet"]
