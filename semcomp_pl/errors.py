"""The suite's error and warning classes."""


class SemcompError(ValueError):
    """Bad input; the message says what was found, what was expected and what to do."""

    exit_status = 2
    """Exit status of the command that ends with this error."""


class FileError(SemcompError):
    """An unusable file: damaged, truncated, or of another kind, version or model."""

    exit_status = 3


class SemcompWarning(UserWarning):
    """Something was changed or left out on the user's behalf; the message says what."""
