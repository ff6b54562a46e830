"""Functions that create the faults of each check in raw SQL; `test_checks` runs all of them."""

from importlib import import_module
from pkgutil import iter_modules

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")
