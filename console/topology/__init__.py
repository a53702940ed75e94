"""Whether queues, exchanges and policies of the broker are as they must be."""
