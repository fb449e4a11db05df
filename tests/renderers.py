"""MuJoCo's pictures, where this machine can draw them."""

from __future__ import annotations

import pytest

from bridge import Bridge, EnvSpec, UsageError, connect


def drawing(spec: EnvSpec) -> Bridge:
    """The environment; a machine that cannot draw says so in one sentence, and the test is skipped."""
    try:
        return connect(spec)
    except UsageError as error:
        if "neither EGL nor OSMesa works; install OSMesa" not in str(error):
            raise
        pytest.skip(str(error))
