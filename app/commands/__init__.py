"""The commands, one module each; nothing is imported here.

- `main`: `persister`, which loads a command when it is run.
- `for_faust`, `checkout`: the same commands, and those of a checkout, as `faust -A app ...`.
"""
