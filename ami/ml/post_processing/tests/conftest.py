from ami.jobs.tests.conftest import broker_down, operator, published

__all__ = ["broker_down", "operator", "published"]
