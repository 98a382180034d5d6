"""How long the regions of a large volume take, and where the time goes.

    python Testing/Benchmarks/regions_time.py --size 512 --profile

The volume is the CBCT phantom, its labels blurred and disturbed as two networks might see them and enlarged as a
prediction is, over an extent that gives voxels of 0.3 mm.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from barl.inference.expected_error import error_by_disagreement, error_by_entropy
from barl.inference.regions import RegionSettings, find_regions
from barl.inference.resampling import Maps, collect
from barl.inference.shells import doubt_by_label
from barl.inference.sliding_window import Slab
from barl.inference.uncertainty import consensus
from barl.inference.unlikely_pieces import unlikely_pieces
from barl.inference.unsure_places import unsure_voxels
from barl.phantom import LABELS, make_case
from barl.phantom.cohort import centered_geometry

SPACING_MM = 0.3


def main() -> None:
    """Make the maps, time the regions, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    shape = (arguments.size,) * 3
    maps, geometry = _maps(shape), centered_geometry(shape, SPACING_MM)
    # Values of the phantom's label table are its classes.
    given = (maps.classes, maps.rival, maps.entropy, maps.disagreement)
    profile = cProfile.Profile(time.process_time)
    walls, processor = [], []
    for _ in range(arguments.repeats):
        start, own = time.perf_counter(), time.process_time()
        if arguments.profile:
            profile.enable()
        regions = find_regions(*given, geometry, LABELS)
        profile.disable()
        walls.append(time.perf_counter() - start)
        processor.append(time.process_time() - own)
    print(
        f"{arguments.size}^3: {statistics.median(walls):.2f} s, of the processor {statistics.median(processor):.2f} s"
    )
    print(f"{len(regions)} regions")
    _parts(maps)
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(12)


def _maps(shape: tuple[int, int, int]) -> Maps:
    """What two networks say that see the same borders blurred and not quite in the same place."""
    _, labels = make_case(1)
    chance = np.random.default_rng(0)
    branches = []
    for _ in range(2):
        shares = np.stack([gaussian_filter((labels == value).astype(np.float32), 0.7) for value in range(4)])
        logits = np.log(shares + 1e-6)
        noise = np.stack([gaussian_filter(chance.normal(size=labels.shape), 2.0) for _ in range(4)])
        branches.append(1.5 * logits + 6 * noise)
    probability, unlike = consensus(torch.from_numpy(np.stack(branches)[None]).float())
    slab = Slab(start=0, probability=probability[0], disagreement=unlike[0])
    return collect([slab], labels.shape, shape)


def _parts(maps: Maps) -> None:
    tables = error_by_entropy(LABELS.num_classes), error_by_disagreement()
    settings = RegionSettings()
    start = time.process_time()
    unsure = unsure_voxels(maps.classes, maps.rival, maps.entropy, maps.disagreement, tables, settings.least_error)
    found = time.process_time()
    pieces = unlikely_pieces(maps.classes, share=settings.unlikely_share, least_voxels=74, most=settings.most)
    pieced = time.process_time()
    doubt_by_label(maps.classes, maps.entropy, LABELS.values, (SPACING_MM,) * 3)
    print(
        f"{len(unsure.flat):,} unsure voxels found in {found - start:.2f} s, {len(pieces)} islands and holes in "
        f"{pieced - found:.2f} s; beside the regions, the doubt of each label {time.process_time() - pieced:.2f} s"
    )


if __name__ == "__main__":
    main()
