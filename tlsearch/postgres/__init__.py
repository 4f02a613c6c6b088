"""The embedded PostgreSQL server: its programs, its sockets, its start and its stop."""
