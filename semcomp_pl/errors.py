"""The one error and the one warning class of the suite."""


class SemcompError(ValueError):
    """Bad input: the message says what was found, what was expected and what to do."""


class SemcompWarning(UserWarning):
    """Something was changed or left out on the user's behalf; the message says what."""
