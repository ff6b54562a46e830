"""Excludes from the wheel what only development needs; `pyproject.toml` contains the rest."""

from setuptools import setup
from setuptools.command.build_py import build_py

DEMO = ("ami.ml.post_processing.management.commands", "demo")


class BuildWithoutDemo(build_py):
    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[:2] != DEMO]


setup(cmdclass={"build_py": BuildWithoutDemo})
