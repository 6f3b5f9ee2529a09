"""The persister: a Faust application, run with `faust -A app worker`.

`app.app` is the application. It is built when it is first asked for, so that the pure parts can be
imported without settings, and a wrong setting is one clear message instead of a traceback.
"""

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For the type alone: Faust's command line looks for `app.app`, and nothing is built before.
    from app.application import Persister

    app: Persister

PROJECT = str(Path(__file__).parent.parent)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    if PROJECT not in sys.path:
        # The command `faust` has its working folder on the path only while it imports this module.
        sys.path.insert(0, PROJECT)
    return _composed()


@cache
def _composed() -> "Persister":
    """Put together what `faust -A app` runs: the one place that knows application and agents."""
    from agents import register  # noqa: PLC0415 - not before it is needed, as all of these
    from app.application import create_app  # noqa: PLC0415
    from app.commands import for_faust  # noqa: F401, PLC0415 - registers them with Faust's
    from app.process.errors import WRONG_SETTINGS, SettingsError  # noqa: PLC0415
    from app.settings import load  # noqa: PLC0415

    try:
        settings = load()
    except SettingsError as error:
        print(f"The settings are wrong:\n{error}", file=sys.stderr)  # noqa: T201 - for the operator
        sys.exit(WRONG_SETTINGS)
    application = create_app(settings)
    register(application)
    return application
