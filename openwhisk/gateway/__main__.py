"""`python -m openwhisk.gateway`: run the gateway until SIGTERM."""

import sys

from app.process.starting import end_at_signals


def main() -> int:
    """Run the gateway; returns the exit code."""
    end_at_signals()
    from openwhisk.gateway import serving  # noqa: PLC0415 - most of a start

    return serving.main()


if __name__ == "__main__":
    sys.exit(main())
