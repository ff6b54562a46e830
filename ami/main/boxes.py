"""The box of a detection, for code that processes one at a time."""

from math import isfinite
from typing import Any

from pydantic import BaseModel, root_validator


class BoundingBox(BaseModel):
    """A box in pixels of its capture: four finite numbers with x1 < x2 and y1 < y2.

    Raises pydantic's ValidationError, a ValueError, for anything else.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    @root_validator(skip_on_failure=True)
    def _is_a_box(cls, values: dict[str, float]) -> dict[str, float]:  # noqa: N805
        x1, y1, x2, y2 = values.values()
        if not all(map(isfinite, values.values())):
            raise ValueError(f"A box must have four finite numbers, got {x1}, {y1}, {x2}, {y2}.")
        if not (x1 < x2 and y1 < y2):
            raise ValueError(
                f"x1 must be below x2 and y1 below y2, got {x1:g}, {y1:g}, {x2:g}, {y2:g}."
            )
        return values

    @classmethod
    def from_coords(cls, coords: Any, raise_on_error: bool = True) -> "BoundingBox | None":
        """Return the box of `[x1, y1, x2, y2]`. Raises ValueError for other coordinates.

        If `raise_on_error` is false, None is returned instead.
        """
        try:
            if coords is None or len(coords) != 4:
                raise ValueError(
                    f"A box must have four coordinates, x1, y1, x2, y2; got {coords!r}."
                )
            return cls(**dict(zip(cls.__fields__, coords, strict=True)))
        except ValueError:
            if raise_on_error:
                raise
            return None

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1
