"""Settings of Sphinx; `make check` builds the documentation with warnings as errors."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

import django  # noqa: E402

django.setup()

from check_pages import write_check_pages  # noqa: E402

write_check_pages()

project = "AMI"
author = "The AMI maintainers"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "AMI"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
nitpicky = False
