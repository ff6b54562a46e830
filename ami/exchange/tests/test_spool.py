from threading import Thread

from ami.exchange.reading.spool import Spool


def test_it_is_closed_by_any_thread() -> None:
    """As the garbage collector does with a reader that was not read to its end."""
    opened = []

    def open_it() -> None:
        spool = Spool.opened()
        spool.__enter__().add_capture("a", "row 1", None)
        opened.append(spool)

    thread = Thread(target=open_it)
    thread.start()
    thread.join()
    (spool,) = opened
    spool.__exit__(None, None, None)
