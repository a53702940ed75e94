"""Commands for operators: status, trace, states, gaps, topics, dead letters, topology, health."""
