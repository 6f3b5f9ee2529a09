"""Removes old activations, which CouchDB would keep for ever.

- `removal`: the loop: a page of the oldest, removed, then a rest.
- `report`: what a run did, for people, programs and Prometheus.

Nothing is remembered between runs: what was removed is gone from the view that lists the oldest.
"""
