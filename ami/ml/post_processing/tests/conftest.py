from ami.jobs.tests.conftest import broker_down, published

__all__ = ["broker_down", "published"]
