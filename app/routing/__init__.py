"""Decides what becomes of OpenWhisk's messages: store, skip or reject. Pure; the hot path."""

from app.routing.outcomes import Decision, Reject, Skip, Store
from app.routing.route import route
from models.roles import TopicRole

__all__ = ["Decision", "Reject", "Skip", "Store", "TopicRole", "route"]
