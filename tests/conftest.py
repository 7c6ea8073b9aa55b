"""What every test shares: threads and the limits of property tests."""

from __future__ import annotations

import os

# Worker processes share the cores; this must stand before torch or numpy start their threads, and
# costs no import. Whoever set it already keeps it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # the packaging tests also run where only pytest is installed
    pass
else:
    # No deadline: the first example of a property pays for imports and caches. Derandomised, so
    # that a red suite is red for everybody.
    settings.register_profile(
        "molae",
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("molae")
