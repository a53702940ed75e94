"""`statesys bench`: how much the pipeline carries on this machine, and what it costs."""
