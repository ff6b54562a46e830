"""The job types. Higher layers register theirs when the apps are ready."""

from collections.abc import Callable
from typing import TypeAlias

from ami.base.registry import Registry
from ami.jobs.engine.work import PlannedWork, WholeWork
from ami.jobs.models import Job
from ami.users.models import User

# Makes the work of a Job; raises JobFailedError if its parameters are invalid.
WorkFactory: TypeAlias = Callable[[Job], PlannedWork | WholeWork]

JOB_TYPES: Registry[WorkFactory] = Registry("job type")

# Makes a new queued Job with the options of an ended Job, for a user; raises JobFailedError if the
# options are no longer valid. Job types that cannot be run again are not registered.
RUNS_AGAIN: Registry[Callable[[Job, User | None], Job]] = Registry("job type to run again")
