"""The web endpoint: health for a supervisor, status for a person, metrics for Prometheus."""

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from app import metrics
from app.status import not_ready, status


def add_pages(app: Any) -> None:
    """Add the pages to Faust's web server."""

    @app.page("/health/live")
    async def live(view: Any, _request: Any) -> Any:
        """200 while the process answers."""
        return view.json({"live": True})

    @app.page("/health/ready")
    async def ready(view: Any, _request: Any) -> Any:
        """200 while the worker consumes, 503 with the reason while it does not."""
        why = not_ready(app)
        return view.json({"ready": why is None, "reason": why}, status=200 if why is None else 503)

    @app.page("/status")
    async def show_status(view: Any, _request: Any) -> Any:
        """Topics, lag, outcomes, guard and database."""
        return view.json(await status(app))

    @app.page("/metrics")
    async def show_metrics(view: Any, _request: Any) -> Any:
        """The same for Prometheus."""
        body = await metrics.render(app)
        return view.bytes(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
