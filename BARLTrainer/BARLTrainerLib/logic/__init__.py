"""Logic of the engineer's module: cohort and job folders, and curves as MRML nodes; no Qt, no torch."""
