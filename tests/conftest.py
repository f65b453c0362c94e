"""How every test runs: one thread for each library, the same examples each time, few searches for cycles."""

import gc
import os

# The tensors of tests are small: more threads than one only wait for each other. Set before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that import onnxruntime before earnest
os.environ["EARNEST_CACHE_GB"] = "0"  # nobody's home is filled, and what is decoded is decoded here

from hypothesis import settings

# What torch and the tests themselves are made of is looked through for cycles a few times, not thousands of times.
gc.set_threshold(50_000, 50)

# No test asserts a time, also not by a deadline; the same examples in every run.
settings.register_profile("earnest", deadline=None, derandomize=True)
settings.load_profile("earnest")
