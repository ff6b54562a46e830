"""Names for code that was written for Antenna."""

from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm
from ami.ml.post_processing.small_size_filter import SmallSizeFilterConfig


class SmallSizeFilterActionForm(BasePostProcessingActionForm):
    config_schema = SmallSizeFilterConfig


__all__ = ["SmallSizeFilterActionForm"]
