"""The loader: laws, ledger, resync, processes."""
