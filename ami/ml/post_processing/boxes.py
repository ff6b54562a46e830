"""The faults of a box, in SQL."""

# Branches of a CASE over the columns `bbox`, the frame's `width` and `height`, and the corners
# `x1`, `y1`, `x2`, `y2` as a method computes them. Each branch relies on those before it.
BOX_FAULTS = """
        WHEN bbox IS NULL THEN 'no box'
        WHEN (cardinality(bbox) = 4 AND 'Infinity' > ALL (bbox) AND '-Infinity' < ALL (bbox))
             IS NOT TRUE THEN 'box is not four finite numbers'
        WHEN (width > 0 AND height > 0) IS NOT TRUE THEN 'frame without width or height'
        WHEN x2 <= x1 OR y2 <= y1 THEN 'box is empty or inverted'
"""
