"""Imported by the worker of the tests, in place of a module that is placed in the package."""

from ami.ml.post_processing.registry import register
from ami.ml.post_processing.tests.shapes import SHAPES

for shape in SHAPES:
    register(shape)
