//! The frame of every page: one style sheet, at most one script, and a content security policy.
//!
//! The policy forbids everything but these two, which are named by their hashes: were escaping ever
//! to fail, an injected script, image, style or form would still be dead.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// What runs in a page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Script {
    /// Nothing.
    None,
    /// A script that talks to nobody.
    Alone(&'static str),
    /// A script that asks the server that the page came from.
    Asks(&'static str),
}

/// A whole page that needs nothing from a network.
pub(crate) fn page(title: &str, script: Script, body: &Markup) -> String {
    let (code, allowed) = match script {
        Script::None => (None, String::new()),
        Script::Alone(code) => (Some(code), format!("script-src {}; ", source(code))),
        Script::Asks(code) => {
            (Some(code), format!("script-src {}; connect-src 'self'; ", source(code)))
        }
    };
    let policy = format!(
        "default-src 'none'; style-src {}; {allowed}base-uri 'none'; form-action 'none'",
        source(STYLE)
    );
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="generator" content="dbready";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                @if let Some(code) = code { script { (PreEscaped(code)) } }
            }
        }
    };
    page.into_string()
}

/// A text as a policy names it.
fn source(text: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(text.as_bytes())))
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = (group >> (18 - 6 * digit)) & 63;
                out.push(char::from(DIGITS[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_known_texts() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }
}
