"""What tests share: builders, servers, processes, waiting."""
