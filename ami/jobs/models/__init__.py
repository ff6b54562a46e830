from ami.jobs.models.job import Job
from ami.jobs.models.log import JobLog
from ami.jobs.states import JobState

__all__ = ["Job", "JobLog", "JobState"]
