"""SemiGDA for volumes: codes of masks, two ways to them, and what each stage moves.

Shapes: B patches, K classes, Z latent channels, d h w latent cells, D H W voxels.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

import pytest
import torch
from engine_doubles import PATCH, TINY, Balls, balls_in_noise, built, gradients, tiny_method, without_labels
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.distribution_alignment import (
    divergence_from_normal,
    known_classes,
    known_share,
    mean_over_cells,
    wasserstein,
)
from barl.losses.supervised import dice_ce
from barl.methods.protocol import Batch, Progress
from barl.methods.semigda import Branches
from barl.networks import NetworkSettings
from barl.networks.adapters import SkipAdapters
from barl.networks.latent import Gaussian, LatentDecoder, MaskEncoder
from barl.networks.latent_encoders import MappingEncoder, ResidualEncoder
from barl.training.settings import TrainingSettings
from barl.training.stepper import Stepper

START, END = Progress(step=0, total_steps=100), Progress(step=100, total_steps=100)
ENCODERS = {"mapping", "residual"}


def owners(found: dict[str, Tensor]) -> set[str]:
    """The parts of the model that have a gradient."""
    return {name.split(".")[0] for name in found}


def cells(*values: float) -> Tensor:
    """(1, 1, 1, 1, N)."""
    return torch.tensor(values).view(1, 1, 1, 1, -1)


# Losses


def test_wasserstein_by_hand() -> None:
    found = wasserstein(cells(1.0, 2.0), cells(1.0, 0.5), cells(0.0, 2.0), cells(1.0, 2.0))
    assert found.flatten().tolist() == pytest.approx([1.0, 2.25])


def test_divergence_from_normal_by_hand_and_by_torch() -> None:
    mean, log_variance = cells(0.0, 1.0, -0.5), cells(0.0, 0.0, math.log(0.25))
    found = divergence_from_normal(mean, log_variance)
    assert found.flatten()[:2].tolist() == pytest.approx([0.0, 0.5])
    normal = torch.distributions.Normal(0.0, 1.0)
    own = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    torch.testing.assert_close(found, torch.distributions.kl_divergence(own, normal))


def test_cells_count_as_much_as_is_known_of_them() -> None:
    label = torch.zeros(1, 8, 8, 24, dtype=torch.long)
    label[..., 8:12] = 255
    label[..., 16:] = 255
    weight = known_share(label, (8, 8, 8))
    assert known_share(label, (8, 8, 24)).flatten().tolist() == pytest.approx([0.5])
    assert weight.flatten().tolist() == pytest.approx([1, 0.5, 0])
    values = torch.stack([cells(1.0, 4.0, 100.0), cells(3.0, 4.0, 100.0)], dim=1)[:, :, 0]
    assert float(mean_over_cells(values, weight)) == pytest.approx((1 + 3 + 2 + 2) / (2 * 1.5))
    assert float(mean_over_cells(values, 0 * weight)) == 0


def test_an_unknown_voxel_is_of_no_class() -> None:
    found = known_classes(torch.tensor([0, 1, 255]).view(1, 1, 1, 3), 2)
    assert found[0, :, 0, 0].T.tolist() == [[1, 0], [0, 1], [0, 0]]


# Networks


def test_all_codes_have_one_shape_and_decode_to_the_patch() -> None:
    image = torch.randn(2, 1, *PATCH)
    mask = MaskEncoder(3, 5, TINY)(torch.rand(2, 3, *PATCH))
    decoder, adapters = LatentDecoder(3, 5, TINY), SkipAdapters(TINY)
    for encoder in (MappingEncoder(1, 5, TINY), ResidualEncoder(1, 5, TINY)):
        encoded = encoder(image)
        assert encoded.code.mean.shape == mask.mean.shape == (2, 5, 2, 2, 4)
        assert [tuple(skip.shape[1:]) for skip in encoded.skips] == [
            (4, 16, 16, 32),
            (8, 8, 8, 16),
            (16, 4, 4, 8),
            (32, 2, 2, 4),
        ]
        for scales in (decoder(encoded.code.mean, encoded.skips, adapters), decoder(mask.mean)):
            assert [logits.shape for logits in scales] == [
                (2, 3, *(extent // stride for extent in PATCH)) for stride in (8, 4, 2, 1)
            ]


def test_a_model_from_before_coarse_scales_learned_can_still_be_loaded() -> None:
    decoder, before = LatentDecoder(3, 5, TINY), LatentDecoder(3, 5, TINY)
    state = {key: value for key, value in before.state_dict().items() if "coarse_heads" not in key}
    decoder.load_state_dict(state)
    code = torch.randn(1, 5, 2, 2, 4)
    assert torch.equal(decoder(code)[-1], before(code)[-1])
    del state["head.weight"]
    with pytest.raises(RuntimeError, match="Missing key"):
        decoder.load_state_dict(state)


def test_a_patch_that_is_all_one_class_has_a_code_of_its_own() -> None:
    """Normalization alone would make them all look the same, or like anything, once a voxel differs."""
    torch.manual_seed(0)
    encoder = MaskEncoder(2, 4, TINY)
    label = [torch.full((1, *PATCH), index) for index in (0, 1, 0)]
    label[2][0, 3, 3, 3] = 1
    background, foreground, nearly = (encoder(known_classes(of_patch, 2)).mean.detach() for of_patch in label)
    assert float((background - foreground).abs().mean()) > 0.1
    assert float((background - nearly).abs().mean()) < 0.05


def test_an_encoder_refuses_a_patch_it_cannot_halve_often_enough() -> None:
    with pytest.raises(SettingsError, match="patch sizes must be multiples of 16 voxels"):
        MappingEncoder(1, 4, TINY)(torch.zeros(1, 1, 16, 16, 24))


def test_a_code_is_within_what_numbers_hold() -> None:
    code = Gaussian(torch.zeros(1), torch.full((1,), 6.0))
    assert float(code.deviation) == pytest.approx(math.exp(3))


# Stages


def test_the_first_stage_moves_all_but_the_adapters(a_batch: Batch) -> None:
    method, model = built("semigda")
    found = gradients(model, method.training_step(model, a_batch, START).total)
    assert owners(found) == {"mask_encoder", "decoder", *ENCODERS}


@pytest.mark.parametrize("frozen", [False, True])
def test_the_second_stage_moves_encoders_and_adapters_and_the_decoder_unless_it_is_frozen(
    a_batch: Batch, frozen: bool
) -> None:
    method, model = built("semigda", {"frozen_decoder": frozen})
    found = gradients(model, method.training_step(model, a_batch, END).total)
    expected = {*ENCODERS, "mapping_adapters", "residual_adapters"}
    assert owners(found) == (expected if frozen else expected | {"decoder"})
    again = gradients(model, method.training_step(model, a_batch, START).total)
    assert "decoder" in owners(again)


def test_stages_change_at_their_share_of_the_training(a_batch: Batch) -> None:
    method, model = built("semigda", {"first_stage_share": 0.2})
    before, after = (method.training_step(model, a_batch, Progress(step=s, total_steps=100)) for s in (19, 20))
    assert set(before.terms) == {"supervised", "masks", "alignment"}
    assert set(after.terms) == {"supervised", "alignment", "consistency"}


def test_alignment_moves_encoders_and_never_the_masks_code(a_batch: Batch) -> None:
    method, model = built("semigda")
    for at in (START, END):
        torch.manual_seed(1)
        whole = gradients(model, method.training_step(model, a_batch, at).total)
        method.settings = replace(method.settings, alignment_weight=0.0)
        torch.manual_seed(1)
        without = gradients(model, method.training_step(model, a_batch, at).total)
        method.settings = replace(method.settings, alignment_weight=1.0)
        moved = {name for name, one in whole.items() if not torch.equal(one, without.get(name, 0 * one))}
        assert owners(dict.fromkeys(moved)) == ENCODERS


def test_unlabeled_codes_are_aligned_with_the_other_one_as_it_is(a_batch: Batch) -> None:
    """Each encoder is moved to the other's code, and that code's own encoder not by the same term."""
    method, model = built("semigda", {"threshold": 1.0})
    found = gradients(model, method.training_step(model, without_labels(a_batch), END).total)
    own, other = model.mapping(a_batch.strong).code, model.residual(a_batch.strong).code.detached()
    expected = 0.3 * wasserstein(own.mean, own.deviation, other.mean, other.deviation).mean()
    gradient = gradients(model, expected)["mapping.head.mean.weight"]
    torch.testing.assert_close(found["mapping.head.mean.weight"], gradient, rtol=1e-2, atol=1e-5)


def test_on_unlabeled_patches_each_branch_learns_from_the_other(a_batch: Batch) -> None:
    method, model = built("semigda", {"threshold": 0.0, "alignment_weight": 0.0, "sampled_share": 0.0})
    loss = method.training_step(model, without_labels(a_batch), END)
    logits = method.predict(model, a_batch.strong)
    labels = logits.argmax(dim=2)
    expected = dice_ce(logits[:, 0], labels[:, 1]) + dice_ce(logits[:, 1], labels[:, 0])
    assert float(loss.terms["consistency"]) == pytest.approx(float(expected.detach()), rel=1e-4)
    assert loss.total.item() == pytest.approx(0.3 * float(expected.detach()), rel=1e-4)
    assert owners(gradients(model, loss.total)) >= ENCODERS


def test_with_weight_zero_unlabeled_patches_move_nothing_in_semigda(a_batch: Batch) -> None:
    method, model = built("semigda", {"unlabeled_weight": 0.0})
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


def test_codes_are_drawn_for_the_share_of_patches_that_the_settings_say(a_batch: Batch) -> None:
    def supervised(share: float, seed: int) -> float:
        method, model = built("semigda", {"sampled_share": share})
        torch.manual_seed(seed)
        return float(method.training_step(model, a_batch, END).terms["supervised"])

    assert supervised(0.0, 1) == supervised(0.0, 2)
    assert supervised(1.0, 1) != supervised(1.0, 2)


def test_the_first_stage_teaches_the_autoencoder_masks() -> None:
    """A mask it has not seen comes back."""
    method, model = built("semigda", {"first_stage_share": 1.0, "latent_channels": 8})
    stepper, balls = Stepper(method, model, TrainingSettings(), torch.device("cpu")), Balls(0)
    for step in range(40):
        stepper.step(balls.next_batch(), Progress(step=step, total_steps=40), contextlib.nullcontext())
    _, label = balls_in_noise(2, torch.Generator().manual_seed(7))
    assert overlap(reconstructed(model, label), label) > 0.7


def test_both_stages_of_a_short_training_learn_a_ball() -> None:
    torch.manual_seed(0)
    method = tiny_method("semigda", network=NetworkSettings(base_filters=8))
    model, balls = method.build(1, 2), Balls(0)
    stepper = Stepper(method, model, TrainingSettings(), torch.device("cpu"))
    for step in range(50):
        stepper.step(balls.next_batch(), Progress(step=step, total_steps=50), contextlib.nullcontext())
    images, labels = balls_in_noise(4, torch.Generator().manual_seed(99))
    with torch.no_grad():
        guess = method.predict(model, images).softmax(dim=2).mean(dim=1).argmax(dim=1)
    assert overlap(guess, labels) > 0.8


def overlap(guess: Tensor, label: Tensor) -> float:
    """Dice."""
    return float(2 * ((guess == 1) & (label == 1)).sum() / ((guess == 1).sum() + (label == 1).sum()))


def reconstructed(model: Branches, label: Tensor) -> Tensor:
    with torch.no_grad():
        code = model.mask_encoder(known_classes(label, 2))
        return model.decoder(code.mean)[-1].argmax(dim=1)
