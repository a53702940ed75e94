"""Every process, server and connection of a site is broken on purpose, and the promise checked."""
