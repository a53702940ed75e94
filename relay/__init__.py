"""From mp_relayendpoint to batches in statesys.incoming."""
