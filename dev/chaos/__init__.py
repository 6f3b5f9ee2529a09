"""`make chaos`: injects faults under load, then checks independently what arrived.

- `flow`: continuous traffic, and the books of what was produced.
- `crew`: the workers, and their supervisor.
- `faulty`, `answers`: the database behind a proxy that misbehaves on request.
- `offsets`, `movement`, `watch`: what the consumer group has finished, and where it stands still.
- `faults`: each what happens, what must hold and how long the recovery may take.
- `verdict`: database, dead letters and offsets against the books.
- `stage`, `play`: all of it together.

Everything random comes from one seed.
"""
