"""Images and labels: read, write, audit, prepare, and exactly back. No torch."""

from barl.imaging.annotations import import_annotation, load_annotation, save_annotation
from barl.imaging.audit import Finding, audit
from barl.imaging.cache import PreparedCache
from barl.imaging.geometry import Geometry
from barl.imaging.preprocess import (
    Prepared,
    Recipe,
    Restore,
    choose_spacing,
    prepare_image,
    prepare_labels,
    restore_labels,
    restore_map,
)
from barl.imaging.segmentations import LabelMap, read_label_names, read_labels, write_segmentation
from barl.imaging.volumes import VOLUME_SUFFIXES, Volume, find_volumes, read_geometry, read_volume, write_volume

__all__ = [
    "VOLUME_SUFFIXES",
    "Finding",
    "Geometry",
    "LabelMap",
    "Prepared",
    "PreparedCache",
    "Recipe",
    "Restore",
    "Volume",
    "audit",
    "choose_spacing",
    "find_volumes",
    "import_annotation",
    "load_annotation",
    "prepare_image",
    "prepare_labels",
    "read_geometry",
    "read_label_names",
    "read_labels",
    "read_volume",
    "restore_labels",
    "restore_map",
    "save_annotation",
    "write_segmentation",
    "write_volume",
]
