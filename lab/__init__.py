"""What proves and measures: the demo, the proof, the bench, and the launcher of their workers."""
