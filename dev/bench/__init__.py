"""`make bench`: how much, how soon and at what cost, as figures that hold on a noisy machine.

Each is a ratio in one run, CPU time per record, or what a record waits at a rate that leaves room.

- `throughput`: a backlog, against a bare `_bulk_docs` loop.
- `latency`: from sending to the database's changes feed, at several rates and after a burst.
- `guard`: memory and time for ten million remembered records.
- `worker`: how soon it begins, what it costs while idle, and what repetitions cost.
- `memory`: a worker's at its worst: with large records (`large`), which should not hold up small
  ones, and with a large backlog.
- `insight`: what metrics and activity cost a record, and page, `/status` and `/metrics` a question.
- `scale`: what a record costs with one, two and four workers.
- `gateway`: what it takes, and what it adds to writes and reads.
- `burst`: ten times what the database takes, for minutes; a command of its own.
- `ground`: a place for one measurement.
- `simple`: the loop that one would write by hand, which the worker is measured against.
- `sinkless`: a worker whose database takes everything at once.
- `remembered`: fills the guard of a worker that has not started.
- `hot_path`: what each step of a record's way costs, without services.
- `change`: `make bench-change`, which compares these with the commit before.
- `report`: the table, and the same as JSON.
"""
