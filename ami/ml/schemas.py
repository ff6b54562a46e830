"""Names for code that was written for Antenna."""

from ami.main.boxes import BoundingBox

__all__ = ["BoundingBox"]
