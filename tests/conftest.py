"""How the suite runs: hypothesis draws the same examples every time, and Ctrl-C can be tested."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell, which makes all processes from here on deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
