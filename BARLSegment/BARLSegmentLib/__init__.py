"""BARLSegment: ``logic`` on MRML nodes without Qt, ``widgets`` with one panel a file."""
