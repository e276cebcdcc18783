//! The report: the certificate of one run, and what renders it.
