"""The relay: turns the reports of mp_relayendpoint into batches in statesys.incoming."""
