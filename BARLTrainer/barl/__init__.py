"""BARL: segment a whole cohort of volumes from a few annotations.

Read in the order of the data:

    cohort, jobs   the two folders that hold all state     standard library only
    imaging        files to arrays and back                no torch
    ranking        which case to annotate next             no torch
    networks, losses, methods                              one idea a file
    inference      volumes to labels and uncertainty
    evaluation     how good it is
    training       the loop, which uses all of the above   start with training/loop.py
    phantom, demo, run_job, cli
"""

__version__ = "0.1.0"
