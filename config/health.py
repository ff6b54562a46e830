"""Exit with 0 if a URL of the local server answers 200: ``python -m config.health URL``.

The request has the headers of the proxy, so that ALLOWED_HOSTS and the redirect to TLS accept it.
"""

import os
import sys
import urllib.error
import urllib.request


def main(url: str) -> None:
    host = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".*") or "localhost"
    headers = {"Host": host, "X-Forwarded-Proto": "https"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  always http
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            sys.exit(response.status != 200)
    except urllib.error.URLError as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
