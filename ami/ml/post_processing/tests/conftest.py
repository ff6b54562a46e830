import pytest

from ami.base.tests.factories import make_classification
from ami.jobs.tests.conftest import broker_down, published
from ami.main.models import Detection, SourceImageCollection
from ami.ml.post_processing.tests.methods import make_scope

__all__ = ["broker_down", "published"]


@pytest.fixture
def capture_set() -> SourceImageCollection:
    """A capture set with three classified detections, which are too small to identify."""
    capture_set = make_scope(2, 1)
    Detection.objects.update(bbox=[1, 1, 3, 3])
    for detection in Detection.objects.all():
        make_classification(detection=detection)
    return capture_set
