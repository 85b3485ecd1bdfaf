"""Real programs in front of the live server, or calling it, that write the logs which the readers are tested on."""
