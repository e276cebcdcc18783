//! What became of each migration, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::advice::Advice;
use super::pressure::TableEffect;

/// The judgement over all migrations of a contract.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `sound` when nothing was found, else `findings`.
    pub verdict: &'static str,
    /// Whose contract it is.
    pub contract: String,
    /// Its version.
    pub version: String,
    /// How many findings there are, those of the migrations included.
    pub findings: usize,
    /// Findings about all of them together: versions, and the schema that they lead to.
    pub general: Vec<Finding>,
    /// Each migration in order.
    pub migrations: Vec<OfMigration>,
}

/// One thing that is wrong with a migration, with what was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of fault: `breaking_flag`, `rollback_catalogs`, `rollback_data`, `blocking_index`,
    /// `blocking_key`, `rewrite`, `validation`, `full_scan`, `lock_across_backfill`, `writers_wait`,
    /// `accepted_in_vain`, `gap`, `contract`.
    pub kind: &'static str,
    /// What was found.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// What was seen of one migration.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OfMigration {
    /// Its version.
    pub version: String,
    /// Whether its header declares it breaking.
    pub declared_breaking: bool,
    /// Whether it removed or changed what consumers rely on.
    pub breaks: bool,
    /// What it did to the catalogs.
    pub effects: Vec<String>,
    /// What it did to the tables that were there, under readers and writers; empty for the first.
    pub tables: Vec<TableEffect>,
    /// Whether its rollback restored the catalogs exactly.
    pub rollback_restores: bool,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What its header accepts, with the reason as remedy.
    pub accepted: Vec<Finding>,
    /// What rules about its text say; what was measured decides.
    pub advice: Vec<Advice>,
    /// Why they say nothing, where they could not be asked.
    pub no_advice: Option<String>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings == 0
    }

    /// The report for people, in Markdown that reads well as it is.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        // Names come from the scripts, and may hold anything.
        out.retain(|c| c == '\n' || !c.is_control());
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let found = match self.findings {
            0 => "nothing found".to_owned(),
            1 => "one finding".to_owned(),
            many => format!("{many} findings"),
        };
        let (contract, version) = (&self.contract, &self.version);
        writeln!(out, "# Migrations of {contract} {version}: {found}")?;
        for (at, one) in self.migrations.iter().enumerate() {
            let word = |breaking| if breaking { "breaking" } else { "not breaking" };
            writeln!(
                out,
                "\n## {}: declared {}, {} by its effect\n",
                one.version,
                word(one.declared_breaking),
                word(one.breaks)
            )?;
            one.effects.iter().try_for_each(|effect| writeln!(out, "- {effect}"))?;
            for table in one.tables.iter().filter(|table| !table.locks.is_empty()) {
                let anew = if table.rewritten { "; written anew" } else { "" };
                writeln!(out, "- {}{anew}", table.words())?;
            }
            if one.rollback_restores {
                writeln!(out, "- its rollback restores the catalogs")?;
            } else if at > 0 {
                // It is applied again for that, which takes a rollback that can be relied on.
                writeln!(out, "- its locks were not measured; mend its rollback first")?;
            }
            write_findings(out, &one.findings)?;
            write_findings(out, &one.accepted)?;
            for advice in &one.advice {
                writeln!(out, "- advice, line {}: {} ({})", advice.line, advice.what, advice.rule)?;
            }
            if let Some(reason) = &one.no_advice {
                writeln!(out, "- no advice about its text: {reason}")?;
            }
        }
        if !self.general.is_empty() {
            writeln!(out, "\n## All of them\n")?;
            write_findings(out, &self.general)?;
        }
        Ok(())
    }
}

fn write_findings(out: &mut String, findings: &[Finding]) -> std::fmt::Result {
    let mut all = findings.iter();
    all.try_for_each(|one| writeln!(out, "- **{}**: {}; {}", one.kind, one.what, one.remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_advice_says_why() {
        let one =
            OfMigration { no_advice: Some("it is too long".to_owned()), ..Default::default() };
        let report = Report {
            verdict: "sound",
            contract: "shop".to_owned(),
            version: "1.0.0".to_owned(),
            findings: 0,
            general: Vec::new(),
            migrations: vec![one.clone(), one],
        };
        let text = report.text();
        assert!(text.contains("- no advice about its text: it is too long\n"), "{text}");
        // Nobody waits for the first.
        assert_eq!(text.matches("- its locks were not measured").count(), 1, "{text}");
    }
}
