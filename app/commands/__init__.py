"""The commands beside `worker`: importing them registers them with Faust's command line."""

from app.commands import audit, checkout, dead_letters

__all__ = ["audit", "checkout", "dead_letters"]
