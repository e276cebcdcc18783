//! The formats of a report, by name.

use std::fmt;
use std::str::FromStr;

use super::{
    Beside, Certificate, Subject, csv, github, html, in_toto, junit, markdown, sarif, terminal,
};

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
    /// An in-toto statement of a test result.
    InToto,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 9] = [
        Self::Terminal,
        Self::Markdown,
        Self::Json,
        Self::Html,
        Self::Junit,
        Self::Sarif,
        Self::Csv,
        Self::Github,
        Self::InToto,
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
            Self::InToto => "in-toto",
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

/// What a rendering shows beside the certificate.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Colours, for the terminal.
    pub color: bool,
    /// More than the worst, for the terminal.
    pub verbose: bool,
    /// Paths of the full reports, which the terminal names at its end.
    pub reports: Vec<String>,
    /// What the run wrote beside the certificate, for the page.
    pub beside: Beside,
    /// What an in-toto statement speaks about beside the contract.
    pub subjects: Vec<Subject>,
}

impl Certificate {
    /// Renders the certificate.
    #[must_use]
    pub fn render(&self, format: Format, view: &View) -> String {
        match format {
            Format::Terminal => terminal(self, view),
            Format::Markdown => markdown(self),
            Format::Json => self.to_json(),
            Format::Html => html(self, &view.beside),
            Format::Junit => junit(self),
            Format::Sarif => sarif(self),
            Format::Csv => csv(self),
            Format::Github => github(self),
            Format::InToto => in_toto(self, &view.subjects),
        }
    }

    /// The files of a full report with their texts, `certificate.json` first.
    #[must_use]
    pub fn files(&self, beside: &Beside) -> [(&'static str, String); 4] {
        [
            ("certificate.json", self.to_json()),
            ("certificate.md", markdown(self)),
            ("certificate.html", html(self, beside)),
            ("junit.xml", junit(self)),
        ]
    }
}
