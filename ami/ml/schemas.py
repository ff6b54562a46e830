"""What code that is written for Antenna imports from here."""

from ami.main.boxes import BoundingBox

__all__ = ["BoundingBox"]
