"""A card for each method: listed before torch is installed, so a card names its class as text."""

from __future__ import annotations

from dataclasses import dataclass

from barl.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class MethodCard:
    """What someone needs to know to choose a method."""

    name: str
    """What ``barl train --method`` takes."""

    title: str
    """What a person reads in a list."""

    sentence: str
    """What it does, for a clinician."""

    when_to_choose: str
    """The situation it is meant for."""

    cost: float
    """Arithmetic of one training step with default settings, as a multiple of ``supervised``: a patch counts 1 forward
    and 2 backward through a V-Net, 1.7 times that through the residual V-Net; a step takes 4 labeled patches,
    and 2 unlabeled ones where the method uses them."""

    reference: str
    """The paper, and how close this implementation is to it."""

    module: str
    """Where the class is, as ``package.module:Class``."""


CARDS: tuple[MethodCard, ...] = (
    MethodCard(
        name="supervised",
        title="Supervised",
        sentence="Learns from the annotated volumes alone, with one network.",
        when_to_choose="Many volumes are annotated, or there is no GPU and only minutes; the yardstick for the others.",
        cost=1.0,
        reference="V-Net (Milletari et al. 2016, https://arxiv.org/abs/1606.04797) with Dice and cross-entropy.",
        module="barl.methods.supervised:Supervised",
    ),
    MethodCard(
        name="mean_teacher",
        title="Mean teacher",
        sentence="Also learns from volumes nobody annotated, by agreeing with a slowly changing copy of itself.",
        when_to_choose="Few volumes are annotated and memory or time is too short for two networks.",
        cost=1.7,
        reference="Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780.",
        module="barl.methods.mean_teacher:MeanTeacher",
    ),
    MethodCard(
        name="uncertainty_mean_teacher",
        title="Uncertainty-aware mean teacher",
        sentence="Also learns from volumes nobody annotated, where a copy of itself, asked several times, is certain.",
        when_to_choose="As a yardstick from the literature; `mean_teacher` takes half the time for much the same idea.",
        cost=3.0,
        reference="UA-MT, Yu et al. 2019, https://arxiv.org/abs/1907.07034.",
        module="barl.methods.uncertainty_mean_teacher:UncertaintyMeanTeacher",
    ),
    MethodCard(
        name="copy_paste",
        title="Bidirectional copy-paste",
        sentence="Learns from pieces of annotated volumes pasted into volumes nobody annotated, and the reverse.",
        when_to_choose="Very few volumes are annotated, and memory or time is too short for two networks that learn.",
        cost=1.7,
        reference="BCP, Bai et al. 2023, https://arxiv.org/abs/2305.00673.",
        module="barl.methods.copy_paste:CopyPaste",
    ),
    MethodCard(
        name="cross_pseudo",
        title="Cross pseudo supervision",
        sentence="Two networks learn from the few labels, and on volumes nobody annotated each learns from the other.",
        when_to_choose="There is time for two networks: of short trainings it gave the best ones so far.",
        cost=3.3,
        reference=(
            "Chen et al. 2021, https://arxiv.org/abs/2106.01226: in three dimensions, with a Dice term and a ramp "
            "that the paper does not have."
        ),
        module="barl.methods.cross_pseudo:CrossPseudo",
    ),
    MethodCard(
        name="dtc",
        title="Dual-task consistency",
        sentence="One network draws a structure and measures the distance to its surface; both must agree everywhere.",
        when_to_choose="The structures are smooth organs and a step must cost little.",
        cost=1.5,
        reference="DTC (Luo et al. 2021, https://arxiv.org/abs/2009.04448), with distances that end at a few voxels.",
        module="barl.methods.dtc:Dtc",
    ),
    MethodCard(
        name="semigda",
        title="SemiGDA for volumes",
        sentence="Learns what the annotations look like, and lets two networks find such shapes in every volume.",
        when_to_choose="A few annotations show how the structures are shaped, and there is time for two networks.",
        cost=4.0,
        reference=(
            "Huang et al. 2026, https://arxiv.org/abs/2604.23274: its ideas in 3-D, without the pretrained picture "
            "autoencoder it stands on."
        ),
        module="barl.methods.semigda:SemiGda",
    ),
    MethodCard(
        name="dbisl",
        title="DBiSL",
        sentence="One network draws structures and measures their surfaces, and each skill teaches the other.",
        when_to_choose="Few volumes are annotated, and memory or time is too short for two networks.",
        cost=1.6,
        reference=(
            "Li 2026, https://arxiv.org/abs/2602.09378: completed from the abstract, "
            "not the author's method line by line."
        ),
        module="barl.methods.dbisl:Dbisl",
    ),
    MethodCard(
        name="dual_networks",
        title="Dual Networks",
        sentence="Two different networks agree with each other, and learn from the voxels that they are surest of.",
        when_to_choose="A published pair of networks to compare BARL with, for few annotated volumes of one organ.",
        cost=4.1,
        reference=(
            "Lu, Wu, Kateb and Chaddad 2025, https://arxiv.org/abs/2505.17690: as the paper means it; "
            "`as_released` trains what the released code effectively trains."
        ),
        module="barl.methods.dual_networks:DualNetworks",
    ),
    MethodCard(
        name="barl",
        title="BARL",
        sentence="Two branches look at volumes nobody annotated and correct each other in what they see and say.",
        when_to_choose=(
            "A few volumes are annotated, many are not, and there is a GPU or there are hours; in short trainings it "
            "was no better than `supervised` so far."
        ),
        cost=2.3,
        reference=(
            "Gao, Wang and Yu 2025, https://arxiv.org/abs/2510.16863: reconstructed from the abstract, "
            "not the authors' method line by line."
        ),
        module="barl.methods.barl:Barl",
    ),
)
"""All methods there are, simplest first."""


def card(name: str) -> MethodCard:
    """The card of one method.

    Raises:
        SettingsError: there is no such method.
    """
    for candidate in CARDS:
        if candidate.name == name:
            return candidate
    allowed = ", ".join(repr(candidate.name) for candidate in CARDS)
    raise SettingsError(f"method must be one of ({allowed}), got {name!r}. Each method's card says when to choose it.")
