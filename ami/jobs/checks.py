"""System checks of the Celery settings and the PostgreSQL version that long runs depend on."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

from celery import Celery, current_app
from django.core.checks import Error, Tags, register

from ami.base.postgresql import unsupported_version
from ami.jobs.engine import parts

HOME = "the settings module"
LONG_TASKS = tuple(f"ami.jobs.tasks.{name}" for name in ("run_job", "run_part", "run_whole"))

# id, setting, required value, what happens otherwise
SWITCHES = (
    ("E011", "task_acks_late", True, "a worker that dies loses its messages"),
    ("E012", "task_reject_on_worker_lost", True, "a process that is killed loses its message"),
    ("E013", "task_acks_on_timeout", False, "the hard time limit loses the message"),
    ("E014", "worker_prefetch_multiplier", 1, "messages wait behind long work"),
    (
        "E015",
        "worker_cancel_long_running_tasks_on_connection_loss",
        True,
        "after a lost connection, two workers process the same message",
    ),
    ("E016", "task_track_started", True, "running tasks look like waiting ones"),
)
# id, option of the broker's transport, what happens otherwise
CONNECTION = (
    ("E031", "socket_keepalive", "a dead connection is not noticed"),
    ("E032", "socket_timeout", "a command may wait forever for the broker"),
    ("E033", "socket_connect_timeout", "a connection attempt may wait forever"),
    ("E034", "health_check_interval", "a worker may listen to a dead connection forever"),
)


@register("celery")
def check_celery(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse settings with which a run could be lost, executed twice or stuck."""
    return [
        *_check_times(current_app.conf),
        *_check_visibility_timeouts(current_app.conf),
        *_check_switches(current_app.conf),
        *_check_queues(current_app),
        *_check_connection(current_app.conf),
    ]


@register(Tags.database)
def check_postgresql(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[Error]:
    """Refuse PostgreSQL versions on which the journal is not tested; `migrate` runs this check."""
    refusal = unsupported_version() if databases else ""
    hint = "Point DATABASE_URL at a supported server, or upgrade this one with pg_upgrade."
    return [Error(refusal, hint=hint, id="ami.E041")] if refusal else []


def _check_times(conf: Any) -> Iterator[Error]:
    """Compare each time with the next longer one; a limit that is not set is infinite."""
    soft, hard = conf.task_soft_time_limit, conf.task_time_limit
    visibility, shutdown = conf.get("visibility_timeout"), conf.worker_soft_shutdown_timeout
    if (soft or inf) < 2 * parts.PART_SECONDS:
        yield _error(
            "E001",
            f"CELERY_TASK_SOFT_TIME_LIMIT ({soft}) must be at least twice the PART_SECONDS of "
            f"ami.jobs.engine.parts ({parts.PART_SECONDS}), because a worker finishes its last "
            "batch after that time.",
            hint="Raise the limit, and the longer times with it",
        )
    if (soft or inf) >= (hard or inf):
        yield _error(
            "E002",
            f"CELERY_TASK_SOFT_TIME_LIMIT ({soft}) must be set and below CELERY_TASK_TIME_LIMIT "
            f"({hard}); otherwise a task is killed before it can clean up.",
            hint="Set both, a minute or two apart",
        )
    if (hard or inf) >= (visibility or 0):
        yield _error(
            "E003",
            f"CELERY_TASK_TIME_LIMIT ({hard}) must be set and below CELERY_VISIBILITY_TIMEOUT "
            f"({visibility}); otherwise a second worker gets a message that is still in use.",
            hint="Lower the limit, or raise the timeout",
        )
    if not 0 < shutdown < (soft or inf):
        yield _error(
            "E004",
            f"CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT ({shutdown}) must be above 0 and below "
            f"CELERY_TASK_SOFT_TIME_LIMIT ({soft}); otherwise a worker that stops waits for none "
            "or for all of its tasks.",
            hint="Set it to a few seconds",
        )


def _check_visibility_timeouts(conf: Any) -> Iterator[Error]:
    """Celery's manual requires the same value in three places; the broker uses the first."""
    values = {
        "CELERY_BROKER_TRANSPORT_OPTIONS": conf.broker_transport_options.get("visibility_timeout"),
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": conf.result_backend_transport_options.get(
            "visibility_timeout"
        ),
        "CELERY_VISIBILITY_TIMEOUT": conf.get("visibility_timeout"),
    }
    if len(set(values.values())) > 1:
        listed = ", ".join(f"{name}: {value}" for name, value in values.items())
        yield _error(
            "E005",
            f"The visibility timeout must be the same in all three settings, got {listed}.",
            hint="Set CELERY_VISIBILITY_TIMEOUT, and use it in the other two",
        )


def _check_switches(conf: Any) -> Iterator[Error]:
    for code, key, wanted, otherwise in SWITCHES:
        if conf[key] != wanted:
            name = f"CELERY_{key.upper()}"
            yield _error(
                code,
                f"{name} must be {wanted}, got {conf[key]}; otherwise {otherwise}.",
                hint=f"Set {name} = {wanted}",
            )


def _check_queues(app: Celery) -> Iterator[Error]:
    default = app.conf.task_default_queue
    served = [getattr(queue, "name", queue) for queue in app.conf.task_queues or [default]]
    queues = {task: app.amqp.router.route({}, task)["queue"].name for task in LONG_TASKS}
    for task, queue in queues.items():
        if queue == default:
            yield _error(
                "E021",
                f"{task} must not use the default queue ({default}); otherwise short work waits "
                "behind long work.",
                hint="Set its queue in CELERY_TASK_ROUTES",
            )
    if missing := {default, *queues.values()}.difference(served):
        yield _error(
            "E022",
            f"CELERY_TASK_QUEUES ({', '.join(served)}) must also list "
            f"{', '.join(sorted(missing))}; otherwise a worker that is started without --queues "
            "leaves messages unread.",
            hint="List every queue in CELERY_TASK_QUEUES",
        )


def _check_connection(conf: Any) -> Iterator[Error]:
    for code, option, otherwise in CONNECTION:
        if not conf.broker_transport_options.get(option):
            yield _error(
                code,
                f"CELERY_BROKER_TRANSPORT_OPTIONS must set {option}; otherwise {otherwise}.",
                hint=f"Set a value for {option}",
            )


def _error(code: str, message: str, *, hint: str) -> Error:
    return Error(message, hint=f"{hint}, in {HOME}.", id=f"ami.{code}")
