from ami.jobs.models.basis import Basis
from ami.jobs.models.change import JobChange
from ami.jobs.models.job import Job
from ami.jobs.models.log import JobLog
from ami.jobs.models.part import JobPart
from ami.jobs.models.pulse import Pulse
from ami.jobs.states import JobDispatchMode, JobState

__all__ = [
    "Basis",
    "Job",
    "JobChange",
    "JobDispatchMode",
    "JobLog",
    "JobPart",
    "JobState",
    "Pulse",
]
