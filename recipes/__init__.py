"""Training recipes that put the callbacks to work: ``python -m recipes NAME``."""
