"""The agents: one for each kind of topic that is read, and one that stores.

Each shows the flow of its records in a few lines. An event's value is a chunk; the event is
acknowledged, and its offsets can be committed, once every record of the chunk is safe in the next
place. `app.routing` decides what a record means, `app.storing` how it is stored.
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
