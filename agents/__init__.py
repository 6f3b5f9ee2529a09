"""The agents: one for each kind of topic that is read, and the one that stores.

Each is the flow of its records in a few lines. An event's value is a chunk, and the event is
acknowledged when every record of the chunk is safe in the next place; until then the chunk's
offsets are not committed. What a record means is decided in `app.routing`, what it takes to store
one in `app.storing`.
"""

from agents import activations, completed, documents, others
from app.application import Persister
from app.process.errors import StartError
from models.roles import TopicRole


def register(app: Persister) -> None:
    """Add every agent to the application.

    Raises:
        StartError: topics of some role would be read by nobody.
    """
    for module in (activations, completed, others, documents):
        module.register(app)
    topics = {agent.channel for agent in app.agents.values()}
    unread = set(TopicRole) - {topic.role for topic in topics if topic.role is not None}
    if unread:
        roles = ", ".join(sorted(unread))
        raise StartError(f"no agent reads the topics of the role {roles}: add one to agents/")
