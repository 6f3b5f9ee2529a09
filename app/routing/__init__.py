"""Decides what becomes of OpenWhisk's messages: store, skip or reject. Pure; the hot path."""

from app.routing.outcomes import Candidate, Decision, Reject, Skip, Store
from app.routing.route import closely, quickly, route
from models.roles import TopicRole

__all__ = [
    "Candidate",
    "Decision",
    "Reject",
    "Skip",
    "Store",
    "TopicRole",
    "closely",
    "quickly",
    "route",
]
