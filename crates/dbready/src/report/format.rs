//! The formats of a report, by name.

use std::fmt;
use std::str::FromStr;

use super::{Certificate, csv, github, html, junit, markdown, sarif, terminal};

/// A format that a certificate can be rendered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text of at most 80 columns, short.
    #[default]
    Terminal,
    /// Markdown.
    Markdown,
    /// The certificate itself.
    Json,
    /// One self-contained page.
    Html,
    /// JUnit XML.
    Junit,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// The claims, one a row.
    Csv,
    /// Annotations of a GitHub Actions run.
    Github,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 8] = [
        Self::Terminal,
        Self::Markdown,
        Self::Json,
        Self::Html,
        Self::Junit,
        Self::Sarif,
        Self::Csv,
        Self::Github,
    ];

    /// The name, as it is given on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Html => "html",
            Self::Junit => "junit",
            Self::Sarif => "sarif",
            Self::Csv => "csv",
            Self::Github => "github",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}; found `{}`", name.escape_debug())
        })
    }
}

impl Certificate {
    /// Renders the certificate; `color` and `reports` (paths named at the end) matter to the
    /// terminal only.
    #[must_use]
    pub fn render(&self, format: Format, color: bool, reports: &[String]) -> String {
        match format {
            Format::Terminal => terminal(self, color, reports),
            Format::Markdown => markdown(self),
            Format::Json => self.to_json(),
            Format::Html => html(self),
            Format::Junit => junit(self),
            Format::Sarif => sarif(self),
            Format::Csv => csv(self),
            Format::Github => github(self),
        }
    }

    /// The files of a full report with their texts, `certificate.json` first.
    #[must_use]
    pub fn files(&self) -> [(&'static str, String); 4] {
        [
            ("certificate.json", self.to_json()),
            ("certificate.md", markdown(self)),
            ("certificate.html", html(self)),
            ("junit.xml", junit(self)),
        ]
    }
}
