"""Tests that every method has to pass, for the authors of methods. They need pytest-django."""

import pytest

pytest.register_assert_rewrite("ami.testing.methods")

from ami.testing.methods import MethodTests, Rows  # noqa: E402

__all__ = ["MethodTests", "Rows"]
