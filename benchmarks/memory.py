"""Run a benchmark's task in a separate process; print its peak memory in bytes and its result as
JSON."""

import json
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import FOLDER, set_up

STATUS = Path("/proc/self/status")


def measure(benchmark: str, database: str, *arguments: str) -> tuple[int, Any]:
    """The peak memory, in bytes, of a process that runs `run_task(…)` of that module, and what the
    task returns. The database is changed. If the process fails, this exits with its output."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", benchmark, database, *arguments],
        cwd=FOLDER.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"The process that measures memory failed:\n{done.stderr}")
    peak, result = json.loads(done.stdout)
    return peak, result


def main(benchmark: str, database: str, *arguments: str) -> None:
    set_up()
    databases = import_module("benchmarks.databases")
    with databases.opened(database):
        result = import_module(f"benchmarks.{benchmark}").run_task(*arguments)
    sys.stdout.write(json.dumps([peak_memory(), result]))


def peak_memory() -> int:
    """The peak resident size of this process, in bytes."""
    # ru_maxrss would include the size of the parent process before exec.
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
