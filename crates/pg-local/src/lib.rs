//! A private, managed local PostgreSQL + `TimescaleDB` server.
