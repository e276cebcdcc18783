//! What the errors say.

use super::*;

#[test]
fn each_step_of_connecting_has_its_words() {
    for (phase, words) in [
        (Phase::Resolve, "looking up the host name"),
        (Phase::Network, "making the network connection"),
        (Phase::TlsRequest, "waiting for the server's first answer"),
        (Phase::TlsHandshake, "in the TLS handshake"),
        (Phase::Authentication, "authenticating"),
        (Phase::Inspection, "reading the session's properties"),
    ] {
        let after = Duration::from_secs(5);
        let error = Error::ConnectTimeout { address: "h:5432".to_owned(), phase, after };
        let expected = format!(
            "no connection to h:5432 within 5s: stopped while {words} — is it a PostgreSQL \
             server, and is it overloaded?"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_network_that_fails_is_explained() {
    for (kind, words) in [
        (io::ErrorKind::ConnectionRefused, "connection refused — is the server running there?"),
        (io::ErrorKind::NotFound, "no such socket — is the server running there?"),
        (io::ErrorKind::TimedOut, "no answer — is the host up, and does a firewall drop packets?"),
        (io::ErrorKind::PermissionDenied, "the system does not permit it"),
        (io::ErrorKind::NetworkUnreachable, "the words of the system"),
    ] {
        let reason = "the words of the system".to_owned();
        let error = Error::Connect { address: "h:5432".to_owned(), kind, reason };
        assert_eq!(error.to_string(), format!("cannot connect to h:5432: {words}"));
    }
}

#[test]
fn a_login_that_fails_is_explained() {
    for (failure, words) in [
        (
            LoginFailure::Password,
            "password authentication failed for role \"r\" at h:1/d (SQLSTATE 28P01)",
        ),
        (
            LoginFailure::PasswordMissing,
            "h:1/d asks for a password for role \"r\" and none was given — set it in the URL, \
             PGPASSWORD or ~/.pgpass",
        ),
        (
            LoginFailure::Method("no method".to_owned()),
            "cannot authenticate role \"r\" at h:1/d: no method",
        ),
    ] {
        let (address, role) = ("h:1/d".to_owned(), "r".to_owned());
        assert_eq!(Error::Authentication { address, role, failure }.to_string(), words);
    }
}

#[test]
fn the_outcome_is_part_of_what_is_said() {
    let after = Duration::from_secs(1);
    for (outcome, words) in [
        (Outcome::NotApplied, "nothing was applied"),
        (Outcome::Unknown, "whether the last statement took effect is unknown"),
    ] {
        let lost = Error::Lost { outcome, cause: None };
        assert_eq!(lost.to_string(), format!("the connection was lost; {words}"));
        let late = Error::Deadline { after, outcome };
        let expected = format!("no answer within 1s, the command is cancelled; {words}");
        assert_eq!(late.to_string(), expected);
    }
}
