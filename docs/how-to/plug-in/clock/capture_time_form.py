"""The options of the method on its confirmation page."""

from django import forms

from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm
from clock.post_processing import CaptureTimeConfig


class CaptureTimeForm(BasePostProcessingActionForm):
    config_schema = CaptureTimeConfig

    overwrite = forms.BooleanField(required=False, label="Replace the times that are there")
