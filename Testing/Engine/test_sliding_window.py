"""Windows cover every voxel, blend as they should, and leave slab by slab.

Shapes: B windows, R branches, C channels, K classes, D H W voxels.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from barl.inference import sliding_window
from barl.inference.sliding_window import Size, WindowSettings, blending_weight, slide, window_starts
from barl.inference.uncertainty import consensus

CPU = torch.device("cpu")
Predict = Callable[[Tensor], Tensor]
SIZES = st.tuples(*[st.integers(1, 21)] * 3)
WINDOWS = st.tuples(*[st.integers(2, 9)] * 3)
OVERLAPS = st.sampled_from([0.0, 0.25, 0.5, 0.7])


def by_intensity(windows: Tensor) -> Tensor:
    """Two branches and three classes that look at a voxel alone: where the window lies makes no difference."""
    x = windows[:, 0]
    one = torch.stack([x, -x, 0.5 * x], dim=1)
    return torch.stack([one, 0.3 * one.flip(1)], dim=1)


def by_place(windows: Tensor) -> Tensor:
    """One branch and two classes that depend on the place inside the window, so that the blending shows."""
    ramp = torch.linspace(-3, 3, windows[0, 0].numel()).view(windows.shape[2:])
    return torch.stack([ramp + windows[:, 0], windows[:, 0].square()], dim=1).unsqueeze(1)


def whole(predict: Predict, volume: Tensor, window: WindowSettings) -> tuple[Tensor, Tensor]:
    """The slabs put together: (K, D, H, W) and (D, H, W)."""
    slabs = list(slide(predict, volume, window, CPU))
    place = 0
    for slab in slabs:
        assert slab.start == place
        place += slab.probability.shape[1]
    assert place == volume.shape[1]
    return torch.cat([s.probability for s in slabs], dim=1), torch.cat([s.disagreement for s in slabs])


def plainly(predict: Predict, volume: Tensor, window: WindowSettings) -> tuple[Tensor, Tensor]:
    """The same with sums over the whole volume at once, for volumes at least as large as the window."""
    sums: list[Tensor] | None = None
    weight = blending_weight(window.size_voxels, CPU)
    axes = zip(volume.shape[1:], window.size_voxels, strict=True)
    for corner in itertools.product(*(window_starts(extent, size, window.overlap) for extent, size in axes)):
        ends = zip(corner, window.size_voxels, strict=True)
        where = (slice(None), *(slice(first, first + size) for first, size in ends))
        mean, unlike = consensus(predict(volume[where][None]))
        parts = [mean[0], unlike, torch.ones(1, *window.size_voxels)]
        if sums is None:
            sums = [torch.zeros(len(part), *volume.shape[1:]) for part in parts]
        for total, part in zip(sums, parts, strict=True):
            total[where] += part * weight
    assert sums is not None
    return sums[0] / sums[2], (sums[1] / sums[2])[0]


def some_volume(shape: Size, seed: int = 0, channels: int = 1) -> Tensor:
    return torch.randn(channels, *shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 200), st.integers(1, 40), st.floats(0, 0.95))
def test_windows_start_at_the_border_reach_the_other_and_leave_no_gap(extent: int, window: int, overlap: float) -> None:
    starts = window_starts(extent, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, extent - window)
    steps = [b - a for a, b in itertools.pairwise(starts)]
    assert all(0 < step <= max(1, window * (1 - overlap) + 1e-9) for step in steps)
    assert max(steps, default=0) - min(steps, default=0) <= 1


@settings(max_examples=40, deadline=None)
@given(SIZES, WINDOWS, OVERLAPS, st.integers(1, 5))
def test_a_constant_prediction_stays_constant(shape: Size, window: Size, overlap: float, batch: int) -> None:
    def constant(windows: Tensor) -> Tensor:
        logits = torch.tensor([[1.0, 3.0, 0.0], [2.0, 0.0, 0.5]])
        return logits.view(1, 2, 3, 1, 1, 1).expand(len(windows), 2, 3, *windows.shape[2:])

    asked = WindowSettings(size_voxels=window, overlap=overlap, batch=batch)
    probability, unlike = whole(constant, some_volume(shape), asked)
    expected, differ = consensus(constant(torch.zeros(1, 1, 1, 1, 1)))
    torch.testing.assert_close(probability, expected[0].expand(3, *shape), atol=1e-5, rtol=0)
    torch.testing.assert_close(unlike, differ[0].expand(shape), atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(SIZES, WINDOWS, OVERLAPS, st.integers(1, 5), st.integers(0, 99))
def test_every_voxel_is_covered_once_and_in_its_place(
    shape: Size, window: Size, overlap: float, batch: int, seed: int
) -> None:
    volume = some_volume(shape, seed)
    asked = WindowSettings(size_voxels=window, overlap=overlap, batch=batch)
    probability, unlike = whole(by_intensity, volume, asked)
    expected, differ = consensus(by_intensity(volume[None]))
    torch.testing.assert_close(probability, expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(unlike, differ[0], atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(9, 24)] * 3), WINDOWS, OVERLAPS, st.integers(1, 5), st.integers(0, 99))
def test_slab_by_slab_equals_the_whole_volume_at_once(
    shape: Size, window: Size, overlap: float, batch: int, seed: int
) -> None:
    volume = some_volume(shape, seed)
    asked = WindowSettings(size_voxels=window, overlap=overlap, batch=batch)
    for streamed, plain in zip(whole(by_place, volume, asked), plainly(by_place, volume, asked), strict=True):
        torch.testing.assert_close(streamed, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("shape", "overlap"), [((24, 16, 32), 0.5), ((28, 40, 16), 0.25), ((16, 40, 16), 0.5)])
def test_blending_equals_monais(shape: Size, overlap: float) -> None:
    """Where MONAI's windows are evenly spread too, which is where the steps fit the volume."""
    pytest.importorskip("monai")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.inferers import sliding_window_inference

        volume = some_volume(shape)
        probability, _ = whole(by_place, volume, WindowSettings(size_voxels=(16, 16, 16), overlap=overlap))
        theirs = sliding_window_inference(
            volume[None],
            (16, 16, 16),
            1,
            lambda windows: by_place(windows)[:, 0].softmax(dim=1),
            overlap=overlap,
            mode="gaussian",
            sigma_scale=1 / 3,
        )
    torch.testing.assert_close(probability, theirs[0], atol=1e-4, rtol=0)


def test_the_blending_weight_is_highest_in_the_center_symmetric_and_never_zero() -> None:
    weight = blending_weight((8, 16, 32), CPU)
    assert weight.shape == (8, 16, 32)
    torch.testing.assert_close(weight, weight.flip((0, 1, 2)))
    assert float(weight.max()) == float(weight[4, 8, 16])
    assert float(weight.min()) == float(weight[0, 0, 0]) > 0.03
    assert float(weight[3, 7, 12] / weight[3, 7, 15]) == pytest.approx(
        2.718281828 ** (-0.5 * (3.5**2 - 0.5**2) / (32 / 3) ** 2), rel=1e-4
    )


def test_all_channels_reach_the_networks_as_float32() -> None:
    seen = []

    def look(windows: Tensor) -> Tensor:
        seen.append((windows.dtype, windows.shape))
        return by_intensity(windows)

    list(slide(look, some_volume((8, 8, 12), channels=2).half(), WindowSettings(size_voxels=(8, 8, 8), batch=4), CPU))
    assert seen == [(torch.float32, (2, 2, 8, 8, 8))]


def test_a_small_volume_is_continued_by_its_border() -> None:
    seen = []

    def look(windows: Tensor) -> Tensor:
        seen.append(windows.clone())
        return by_intensity(windows)

    volume = torch.arange(3.0).view(1, 3, 1, 1)
    list(slide(look, volume, WindowSettings(size_voxels=(8, 2, 2)), CPU))
    assert seen[0][0, 0, :, 0, 0].tolist() == [0, 0, 0, 1, 2, 2, 2, 2]


def test_the_share_of_windows_done_rises_to_one() -> None:
    shares: list[float] = []
    asked = WindowSettings(size_voxels=(8, 8, 8), batch=3)
    list(slide(by_intensity, some_volume((20, 16, 9)), asked, CPU, shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_slices_leave_before_the_last_window_is_asked() -> None:
    asked: list[int] = []

    def look(windows: Tensor) -> Tensor:
        asked.append(len(windows))
        return by_intensity(windows)

    slabs = slide(look, some_volume((64, 8, 8)), WindowSettings(size_voxels=(8, 8, 8)), CPU)
    first = next(slabs)
    assert len(asked) == 1
    assert first.probability.shape[1] == 4


# Air


def in_air(channels: int = 1) -> Tensor:
    """Air of two values around a body in one corner; far from it first and last channel have a lone voxel each."""
    volume = torch.full((channels, 48, 40, 24), -1.25)
    volume[:, 30:] = 0.5
    volume[:, 2:13, 3:11, 4:12] = some_volume((11, 8, 8), channels=channels)
    volume[0, 40, 38, 20] = volume[-1, 46, 2, 3] = 0.75
    return volume


def counting(seen: list[Tensor]) -> Predict:
    """Looks at the place inside the window, and notes each window it was asked about."""

    def look(windows: Tensor) -> Tensor:
        seen.extend(windows)
        return by_place(windows)

    return look


def holds_one_value(window: Tensor) -> bool:
    return all(len(channel.unique()) == 1 for channel in window)


def all_windows(volume: Tensor, asked: WindowSettings) -> list[Tensor]:
    axes = zip(volume.shape[1:], asked.size_voxels, strict=True)
    starts = [window_starts(extent, size, asked.overlap) for extent, size in axes]
    d, h, w = asked.size_voxels
    return [volume[:, z : z + d, y : y + h, x : x + w] for z, y, x in itertools.product(*starts)]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_networks_are_asked_once_about_air_of_one_value(channels: int, batch: int) -> None:
    volume, seen = in_air(channels), []
    asked = WindowSettings(size_voxels=(8, 8, 8), batch=batch)
    whole(counting(seen), volume, asked)
    there = all_windows(volume, asked)
    empty = [window for window in there if holds_one_value(window)]
    assert {float(window[0, 0, 0, 0]) for window in empty} == {-1.25, 0.5}
    assert sum(holds_one_value(window) for window in seen) == 2
    assert len(seen) == len(there) - len(empty) + 2


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.7])
def test_skipping_air_changes_not_a_bit_of_the_result(
    overlap: float, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = WindowSettings(size_voxels=(8, 8, 8), overlap=overlap, batch=batch)
    skipped = whole(by_place, in_air(), asked)
    monkeypatch.setattr(sliding_window._Looks, "_fills", lambda self, corners: [None] * len(corners))
    seen: list[Tensor] = []
    thorough = whole(counting(seen), in_air(), asked)
    assert len(seen) == len(all_windows(in_air(), asked))
    for one, other in zip(skipped, thorough, strict=True):
        assert torch.equal(one, other)


def test_air_whose_values_take_turns_is_told_apart() -> None:
    volume = torch.tensor([0.0, 2.0, 0.0, 2.0]).repeat_interleave(16).expand(1, 8, 8, 64)
    probability, _ = whole(by_intensity, volume, WindowSettings(size_voxels=(8, 8, 16), overlap=0.0))
    torch.testing.assert_close(probability, consensus(by_intensity(volume[None]))[0][0])
