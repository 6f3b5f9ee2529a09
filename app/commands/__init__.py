"""The commands beside `worker`: importing them registers them with Faust's command line."""

from app.commands import dead_letters, simulate

__all__ = ["dead_letters", "simulate"]
