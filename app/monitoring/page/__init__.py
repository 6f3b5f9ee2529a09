"""The status page: first whether all is well, in words, then everything that it is known by.

- `wording`: pure; numbers and times as a person reads them.
- `trouble`: pure; what is wrong, and what to do about it.
- `condition`: gathers what both parts need.
- `rows`: pure; the tables.
- `rendering`: HTML from templates, and the files that it needs.
- `handlers`: what a browser asks for.
"""
