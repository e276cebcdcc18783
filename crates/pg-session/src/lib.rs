//! PostgreSQL configuration, TLS and sessions.
