"""How the property tests of this package look for counterexamples."""

from hypothesis import settings

QUICK = settings(max_examples=60, derandomize=True)
