import pytest
from django.test import Client

from ami.base.tests.factories import make_user
from ami.jobs.tests.conftest import broker_down, published
from ami.users.models import User
from config.tests.tally import table

__all__ = ["broker_down", "published"]


@pytest.fixture
def operator(client: Client) -> User:
    user = make_user(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End `make chaos` with a table of what it did."""
    if terminalreporter.config.getoption("markexpr") != "chaos":
        return
    stats = terminalreporter.stats
    failed = {report.nodeid for kind in ("failed", "error") for report in stats.get(kind, [])}
    terminalreporter.section("chaos")
    for line in table(failed):
        terminalreporter.write_line(line)
