"""Logic on MRML nodes: scene and services are arguments; no Qt, no torch."""
