"""Names for code that was written for Antenna."""

from ami.ml.post_processing.class_masking.form import ClassMaskingActionForm

__all__ = ["ClassMaskingActionForm"]
