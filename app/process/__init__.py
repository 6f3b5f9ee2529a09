"""What every process needs (worker, gateway, commands), apart from handling records.

Logs and printable text, a web server's connections and host names, the machine's limits, and how a
process ends.
"""
