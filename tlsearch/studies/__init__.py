"""Studies: create, read, and steer them while they run."""
