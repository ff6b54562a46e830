"""How far a Job is: stages, each with its share done and its counters."""

from typing import Any

from django.db import models
from django.utils.text import slugify
from pydantic import BaseModel, Field, ValidationError

from ami.base.storable import storable
from ami.jobs.states import JobState


def snake_case(name: str) -> str:
    return slugify(name, allow_unicode=True).replace("-", "_")


class StageParam(BaseModel):
    """One figure of a stage, such as a counter; `warning` says what to heed unless it is 0."""

    name: str
    key: str
    value: Any = None
    warning: str = ""


class JobStage(BaseModel):
    """One step of a Job; `progress` runs from 0 to 1."""

    key: str
    name: str
    status: JobState = JobState.CREATED
    progress: float = 0.0
    params: list[StageParam] = Field(default_factory=list)


class JobProgress(BaseModel):
    """The stages of a Job, in the order in which they were added."""

    stages: list[JobStage] = Field(default_factory=list)

    def add_stage(self, name: str, key: str | None = None) -> JobStage:
        """Return the stage `key` (made from the name where None), adding it if it is missing."""
        key = key or snake_case(name)
        for stage in self.stages:
            if stage.key == key:
                return stage
        stage = JobStage(key=key, name=name)
        self.stages.append(stage)
        return stage

    def get_stage(self, key: str) -> JobStage:
        """Raises ValueError where there is no stage `key`."""
        for stage in self.stages:
            if stage.key == key:
                return stage
        known = ", ".join(stage.key for stage in self.stages) or "none"
        raise ValueError(f"The Job has no stage {key!r}. Stages: {known}.")

    def add_or_update_stage_param(
        self, stage: JobStage | str, name: str, value: Any = None
    ) -> StageParam:
        """Set a figure of a stage; its key is the name in snake case.

        What JSON does not know, such as NaN, is kept as its text.
        """
        value = storable(value)
        stage = self.get_stage(stage) if isinstance(stage, str) else stage
        key = snake_case(name)
        for param in stage.params:
            if param.key == key:
                param.value = value
                return param
        param = StageParam(name=name, key=key, value=value)
        stage.params.append(param)
        return param

    def update_stage(self, key: str, **values: Any) -> JobStage:
        """Set `status` or `progress` of a stage; any other name sets one of its figures."""
        stage = self.get_stage(key)
        for name, value in values.items():
            if name in {"status", "progress", "name"}:
                setattr(stage, name, value)
            else:
                self.add_or_update_stage_param(stage, name, value)
        return stage

    @property
    def skipped(self) -> int:
        """How many rows could not be worked on: the figures that are called "Skipped: …"."""
        params = [param for stage in self.stages for param in stage.params]
        return sum(param.value for param in params if param.key.startswith("skipped_"))

    @property
    def warnings(self) -> list[str]:
        """A sentence for each figure that is to be heeded."""
        params = [param for stage in self.stages for param in stage.params]
        return [
            f"{param.name}: {param.value:,}. {param.warning}"
            for param in params
            if param.warning and param.value
        ]

    @property
    def fraction(self) -> float:
        """The share done over all stages, 0 to 1."""
        if not self.stages:
            return 0.0
        shares = [max(0.0, min(stage.progress, 1.0)) for stage in self.stages]
        return sum(shares) / len(shares)


class ProgressField(models.JSONField):
    """A JSON column that reads and writes as :class:`JobProgress`."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.to_python(super().from_db_value(value, expression, connection))

    def to_python(self, value: Any) -> Any:
        """A stored value that is no progress reads as none: it must not hide the Job."""
        if isinstance(value, JobProgress):
            return value
        try:
            return JobProgress.parse_obj(value)
        except ValidationError:
            return JobProgress()

    def get_prep_value(self, value: Any) -> Any:
        return value.dict() if isinstance(value, JobProgress) else value

    def value_to_string(self, obj: models.Model) -> Any:
        return self.get_prep_value(self.value_from_object(obj))
