import json
import logging
from datetime import UTC, datetime


class JSONFormatter(logging.Formatter):
    """Formats each record as one line of JSON, for collectors of logs.

    The keys are `time` (UTC), `level`, `logger`, `message` and `process`, and `traceback` if there
    is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)
