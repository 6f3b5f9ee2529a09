"""What is mended in Faust, aiokafka and uvloop: a file for each defect.

Each file names the version that it was written for, says what goes wrong and how to see it, and
links the upstream issue or describes it as one would report it.
"""
