from ami.review.admin.calibration import CalibrationAdmin
from ami.review.admin.effect import effect_page
from ami.review.admin.overview import samples_of
from ami.review.admin.review import review_url
from ami.review.admin.sample import SampleAdmin
from ami.review.admin.sweep import sweep_page

__all__ = [
    "CalibrationAdmin",
    "SampleAdmin",
    "effect_page",
    "review_url",
    "samples_of",
    "sweep_page",
]
