"""Whatever a diagnosis fails to do fails the test."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def _failures_fail(request):
    """Whatever a diagnosis fails to do fails the test."""
    with warnings.catch_warnings():
        if "fails" not in request.node.name:
            warnings.filterwarnings("error", message=".* failed to look for faults")
        yield
