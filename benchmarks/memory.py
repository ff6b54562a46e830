"""Run a benchmark's task in a process of its own and print its peak memory in bytes."""

import resource
import sys
from importlib import import_module
from pathlib import Path

from benchmarks import set_up

STATUS = Path("/proc/self/status")


def main(database: str, benchmark: str) -> None:
    """Work on `database`, which is left changed."""
    set_up()
    databases = import_module("benchmarks.databases")
    with databases.opened(database):
        import_module(f"benchmarks.{benchmark}").run_task()
    sys.stdout.write(str(peak_memory()))


def peak_memory() -> int:
    """The peak resident size of this process, in bytes."""
    # ru_maxrss would count the parent's size in, up to the moment of exec.
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
