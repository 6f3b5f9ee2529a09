"""What any of this project's processes needs, worker, gateway or command, and no record ever meets.

Logs and printable text, connections and names of a web server, the machine's limits, and how a
process ends.
"""
