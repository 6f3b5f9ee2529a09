"""The producing side: what puts OpenWhisk's activation records on Kafka.

Imports go one way: `openwhisk` -> `models`, and of `app` only settings, topics and routing.
"""
