"""Everything that speaks to Kafka, in one room.

- `clients`: addresses, credentials and limits of every client.
- `topics`: names and roles; which topics are ours, and how they are set up.
- `access`, `discovery`, `subscription`: whether Kafka lets us in, which topics there are, and which
  are read.
- `admin`, `group_view`, `reader`, `first_batch`, `topic_ids`, `leaders`, `metadata`: what is asked
  and read beside the consumer.
- `bookmarks`: keeps how far a reader has come.
- `producer`: the one way to send records; `transactions` writes the log of replays.
- `errors`: what callers tell apart.
- `gathering`: how soon a partition is asked for again.
- `delivery`: fetched lists as events, and commits that never pass unfinished work.
- `patches`: what is mended in Faust, aiokafka and uvloop, a file for each.

Nothing is imported here: the producing side uses clients and producer without Faust.
"""
