"""`statesys demo`: the whole job on a synthetic fleet, from the first report to the proof."""
