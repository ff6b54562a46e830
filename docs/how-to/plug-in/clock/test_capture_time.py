from datetime import UTC, datetime

from ami.main.models import Deployment, Detection, Project, SourceImage
from ami.testing import MethodTests, Rows
from clock.post_processing import CaptureTimeTask


class TestCaptureTime(MethodTests):
    task_cls = CaptureTimeTask

    def make_rows(self, nights: int) -> Rows:
        project = Project.objects.create(name="Station")
        trap = Deployment.objects.create(project=project, name="Trap")
        for night in range(nights):
            for time in (datetime(2026, 7, 1 + night, 23, tzinfo=UTC), None):
                capture = SourceImage.objects.create(
                    project=project, deployment=trap, path=f"{night}-{time}.jpg", timestamp=time
                )
                for _ in range(3):
                    detection = Detection.objects.create(source_image=capture)
                    detection.associate_new_occurrence()
        return Rows(faults={"capture without a time": 3 * nights})
