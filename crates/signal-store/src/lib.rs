//! The database layer of Signal Service and its database contract.
