"""Removes old activations, which CouchDB would keep for ever.

- `removal`: the loop, which removes a page of the oldest activations, then rests.
- `report`: what a run did, for people, programs and Prometheus.

Nothing is remembered between runs: what was removed is gone from the view that lists the oldest.
"""
