"""The commands beside `worker`: importing them registers them with Faust's command line."""

from app.commands import audit, dead_letters, simulate

__all__ = ["audit", "dead_letters", "simulate"]
