"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no failure: hypothesis allows an example 200 ms otherwise, and the making of
# ten examples a second, and calls whatever takes longer flaky.
settings.register_profile("tavo", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tavo")
