"""What the worker of the tests imports, as its counterpart of a module that is dropped in."""

from ami.ml.post_processing.registry import register
from ami.ml.post_processing.tests.shapes import SHAPES

for shape in SHAPES:
    register(shape)
