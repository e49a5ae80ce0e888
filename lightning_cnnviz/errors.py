"""What a user has to put right before a run can begin."""


class ConfigurationError(ValueError):
    """An argument does not fit the model or the data; other than a failing picture, this ends the run early."""
