"""Training recipes that use the callbacks: ``python -m recipes NAME``."""
