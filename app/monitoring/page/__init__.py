"""The status page: first whether all is well, in words, then all the facts behind that.

- `wording`: pure; numbers and times as a person reads them.
- `trouble`: pure; what is wrong, and what to do about it.
- `condition`: gathers the facts that `trouble` judges.
- `view`: the values that the templates show.
- `rendering`: HTML from templates, and the files that it needs.
- `handlers`: what a browser asks for.
"""
