"""Every error a user can act on.

    BarlError
      InputError           what was given cannot be used           exit code 2
        SettingsError      a setting or option
        ImageError         an image file or its voxels
        LabelError         a label file, its values or its grid
        CohortError        the cohort folder
          LockedError      another process is writing it
        JobError           the job folder
        NewerFormatError   a file written by a newer BARL
        StorageError       a folder that cannot be written, a full disk
      JobFailedError       the work itself failed                  exit code 1
        DivergedError      the loss is no longer a number
        OutOfMemoryError   not even the smallest patch fits
        ProcessLostError   another process of the same training ended

Messages say what is wrong, what is allowed, what came, and what to do.
"""


class BarlError(Exception):
    """Base of all errors whose message is meant for a person."""

    exit_code = 1


class InputError(BarlError):
    """What was given cannot be used; nothing was changed."""

    exit_code = 2


class SettingsError(InputError):
    """A setting or an option is outside what is allowed."""


class ImageError(InputError):
    """An image file cannot be read, or its voxels cannot be used."""


class LabelError(InputError):
    """A label file cannot be read, or its values or grid do not fit the cohort."""


class CohortError(InputError):
    """The cohort folder is not what it should be."""


class LockedError(CohortError):
    """Another process is writing the same folder."""


class JobError(InputError):
    """The job folder is not what it should be, or its state does not allow the request."""


class NewerFormatError(InputError):
    """A file was written by a newer version of BARL."""


class StorageError(InputError):
    """A folder cannot be written to, or the disk is full."""


class JobFailedError(BarlError):
    """The work itself failed."""


class DivergedError(JobFailedError):
    """The loss is no longer a finite number."""


class OutOfMemoryError(JobFailedError):
    """Not even the smallest patch fits into memory."""


class ProcessLostError(JobFailedError):
    """Another process of the same training ended, or no longer answers."""
