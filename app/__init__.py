"""The persister: a Faust application, run with `faust -A app worker`.

`app.app` is the application. It is built when it is first asked for, so that the pure parts can be
imported without settings, and a wrong setting is one clear message instead of a traceback.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.application import Persister

    app: Persister

PROJECT = str(Path(__file__).parent.parent)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    if PROJECT not in sys.path:
        # The command `faust` has its working folder on the path only while it imports this module.
        sys.path.insert(0, PROJECT)
    from app.settings import SettingsError  # noqa: PLC0415 - not before it is needed

    try:
        from app.application import app  # noqa: PLC0415
    except SettingsError as error:
        sys.exit(f"The settings are wrong:\n{error}")
    return app
