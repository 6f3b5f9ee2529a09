"""Workarounds for defects in Faust, aiokafka and uvloop, one file each.

Each file names the affected version, the symptom and how to reproduce it, and links the upstream
issue or describes it as one would report it.
"""
