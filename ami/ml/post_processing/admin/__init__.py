from ami.ml.post_processing.admin.actions import (
    ConfigValidationErrors,
    default_build_jobs,
    make_post_processing_action,
)
from ami.ml.post_processing.admin.again import MethodOffers
from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm, form_class_for
from ami.ml.post_processing.admin.mixin import PostProcessingActionsMixin

__all__ = [
    "BasePostProcessingActionForm",
    "ConfigValidationErrors",
    "MethodOffers",
    "PostProcessingActionsMixin",
    "default_build_jobs",
    "form_class_for",
    "make_post_processing_action",
]
