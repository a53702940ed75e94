"""Break every process, server and connection of a site on purpose, and check the promise."""
