"""Names that code written for Antenna imports from this module."""

from ami.main.boxes import BoundingBox

__all__ = ["BoundingBox"]
