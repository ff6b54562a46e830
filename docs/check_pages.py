"""Write the pages of the integrity checks from their declarations, at every build."""

from importlib import import_module
from pathlib import Path

from ami.main.checks.declarations import Check, chosen_checks

FOLDER = Path(__file__).parent / "reference" / "checks"

PAGE = """# {title}

`{key}` · {severity} · tag `{tag}` · rows of {tables}

## What it means

{meaning}

## Causes

{cause}

## What the repair does

{repair}

{limits}

```{{eval-rst}}
{functions}
```
"""

INDEX = """# Integrity checks

Each check finds rows that cannot be correct. Most checks can also repair them. See
[Check the integrity](../../how-to/check-integrity.md) and
[Add a check](../../how-to/add-a-check.md). The checks run in this order.

| check | fault | severity | tag | has a repair |
|---|---|---|---|---|
{rows}

```{{toctree}}
:hidden:

{keys}
```

```{{eval-rst}}
.. automodule:: ami.main.checks.declarations
   :members: Severity, Tag, OnePass, Pair, reconciler, Check, register, chosen_checks

.. automodule:: ami.main.checks.schemas
   :members: IntegrityCheckResult

.. automodule:: ami.integrity.work
   :members: Repair

.. automodule:: ami.integrity.service
   :members: new_repair, repair_here, reconcile, RepairStoppedError

.. automodule:: ami.integrity.finding
   :members: Scope, Survey, Found

.. automodule:: ami.integrity.runner
   :members: run_checks, examine

.. automodule:: ami.integrity.history
   :members: acknowledged_rows, prune_history
```
"""

ROW = "| [`{0.key}`]({0.key}.md) | {0.title} | {0.severity} | {0.tag} | {repaired} |"
NO_REPAIR = "None: only a person can decide. The check reports the rows."


def write_check_pages() -> None:
    """Write one page per check and an index, and delete the pages of former checks."""
    checks = chosen_checks()
    pages = {f"{check.key}.md": page(check) for check in checks}
    rows = [ROW.format(check, repaired="yes" if check.repair else "no") for check in checks]
    pages["index.md"] = INDEX.format(
        rows="\n".join(rows), keys="\n".join(check.key for check in checks)
    )
    FOLDER.mkdir(exist_ok=True)
    for gone in {path.name for path in FOLDER.iterdir()} - pages.keys():
        (FOLDER / gone).unlink()
    for name, text in pages.items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:  # Sphinx rebuilds pages with a newer time
            path.write_text(text)


def page(check: Check) -> str:
    module = import_module(check.pairs[0].get.__module__)
    names = [name for name in vars(module) if name.startswith("reconcile_")]
    functions = [*(pair.get.__name__ for pair in check.pairs), *names]
    return PAGE.format(
        title=check.title,
        key=check.key,
        severity=check.severity,
        tag=check.tag,
        tables=", ".join(f"`{pair.get(None, None).model.__name__}`" for pair in check.pairs),
        meaning=check.meaning,
        cause=check.cause,
        repair=check.repair or NO_REPAIR,
        limits=check.limits,
        functions="\n\n".join(f".. autofunction:: {module.__name__}.{name}" for name in functions),
    )
