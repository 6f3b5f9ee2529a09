"""Spans for OpenTelemetry: one for each chunk of each step, one for each request to the database.

- `spans`: what the work calls; does nothing unless tracing is on.
- `traceparent`: pure; reads and carries the W3C header of that name.
- `telemetry`: the spans themselves. It alone imports OpenTelemetry, which is an extra.
"""

from app.tracing.spans import CHUNK, CHUNKS, Tracing, open_tracing

__all__ = ["CHUNK", "CHUNKS", "Tracing", "open_tracing"]
