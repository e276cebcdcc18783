//! Roles: each holds exactly the rights that the contract gives it, and PUBLIC none.
//!
//! Rights on chunks and partitions are not looked at: whoever reads and writes through their table needs
//! none.

use super::stage::Stage;
use super::{Check, SCHEMA, compared, finding, of_snapshot};
use crate::catalog::{Grant, ObjectKind, Observation, Owned, Rights};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Role, in_version};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::{qualified, quote_ident, split_name, spoken_name};

pub(super) const CHECK: Check = Check {
    id: "roles",
    summary: "every role holds the contract's rights and no others, and PUBLIC none",
    needs_rows: false,
    plan,
    examine,
};

/// Id of the claim about everybody; no role can have this name.
const EVERYBODY: &str = "role.public";

fn id(role: &Role) -> String {
    format!("role.{}", role.name)
}

fn plan(contract: &Contract) -> Vec<Claim> {
    let mut all: Vec<Claim> = contract
        .roles()
        .map(|role| {
            let statement =
                format!("`{}` holds the rights of the contract and no others", role.name);
            Claim::new(id(role), SCHEMA, Severity::Critical, statement)
        })
        .collect();
    if !all.is_empty() {
        let statement = "`PUBLIC` has no rights on the contract's objects and makes none";
        all.push(Claim::new(EVERYBODY, SCHEMA, Severity::Critical, statement));
    }
    all
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    let mut all: Vec<Evidence> =
        contract.roles().map(|role| of_snapshot(id(role), of_role(&stage, role))).collect();
    if !all.is_empty() {
        all.push(of_snapshot(EVERYBODY.to_owned(), of_everybody(&stage)));
    }
    all
}

fn rights<'a>(stage: &Stage<'a>) -> Result<&'a Rights, String> {
    let read = stage.observation().snapshot.rights.as_ref();
    read.ok_or_else(|| "the rights were not read".to_owned())
}

fn of_role(stage: &Stage<'_>, role: &Role) -> Result<Outcome, String> {
    stage.expects(role.since.as_ref(), role.until.as_ref())?;
    let rights = rights(stage)?;
    let mut findings = itself(rights, role);
    let holder = Holder::Role(&role.name);
    for object in &rights.objects {
        if object.owner == role.name {
            findings.extend(owned(object, role));
        } else {
            findings.extend(holder.compare(object, &wanted(stage, role, object)));
        }
    }
    findings.extend(missing_functions(rights, role));
    Ok(compared(
        rights.objects.len() + 1,
        format!("rights on {} objects", rights.objects.len()),
        findings,
    ))
}

/// Whether the role is there, with no attributes of its own, and whose rights it has beside its own.
fn itself(rights: &Rights, role: &Role) -> Vec<Finding> {
    let (name, quoted) = (role.name.as_str(), quote_ident(&role.name));
    let found = rights.roles.iter().find(|one| one.name == role.name);
    let mut findings = Vec::new();
    if found.is_none() {
        let create = format!("CREATE ROLE {quoted} NOLOGIN");
        findings.push(finding(name, "a role that nobody logs in as", "no such role", create));
    }
    for word in found.into_iter().flat_map(|one| &one.attributes) {
        let alter = format!("ALTER ROLE {quoted} NO{word}");
        findings.push(finding(name, format!("no {word}"), word.as_str(), alter));
    }
    let member_of = found.map(|one| one.member_of.as_slice()).unwrap_or_default();
    for other in role.member_of.iter().filter(|one| !member_of.contains(one)) {
        let grant = format!("GRANT {} TO {quoted}", quote_ident(other));
        findings.push(finding(name, format!("a member of {other}"), "no member", grant));
    }
    for other in member_of.iter().filter(|one| !role.member_of.contains(one)) {
        let revoke = format!("REVOKE {} FROM {quoted}", quote_ident(other));
        let found = format!("a member of {other}");
        findings.push(finding(name, format!("no member of {other}"), found, revoke));
    }
    findings
}

/// The sequence of a column goes with its table.
fn owned(object: &Owned, role: &Role) -> Option<Finding> {
    let word = match object.kind {
        ObjectKind::Sequence => return None,
        ObjectKind::Table | ObjectKind::View => "TABLE",
        ObjectKind::Function => "ROUTINE",
        ObjectKind::Schema => "SCHEMA",
        ObjectKind::Database => "DATABASE",
    };
    let alter = format!("ALTER {word} {} OWNER TO CURRENT_USER", name_of(object));
    let found = format!("owned by {}", role.name);
    Some(finding(spoken(object), "owned by who runs the migrations", found, alter))
}

/// What a role is to have of an object.
struct Wanted<'a> {
    words: Vec<&'a str>,
    /// Whether it is the object that the contract means. Another one in its place is the table's own
    /// refutation.
    is_due: bool,
}

/// What the contract lets a role do with an object.
fn wanted<'a>(stage: &Stage<'_>, role: &'a Role, object: &Owned) -> Wanted<'a> {
    let is_it = |written: &&String| {
        object.schema.as_deref() == Some(split_name(written).0)
            && object.name == split_name(written).1
    };
    let has =
        |list: &'a [String], word: &'static str| list.iter().any(|one| is_it(&one)).then_some(word);
    let named = |list: &'a [String], word| list.contains(&object.name).then_some(word);
    let words: Vec<&str> = match object.kind {
        ObjectKind::Schema => [named(&role.usage, "USAGE"), named(&role.create, "CREATE")]
            .into_iter()
            .flatten()
            .collect(),
        ObjectKind::Function => has(&role.execute, "EXECUTE").into_iter().collect(),
        ObjectKind::Sequence => has(&role.sequences, "USAGE").into_iter().collect(),
        ObjectKind::Database => Vec::new(),
        ObjectKind::Table | ObjectKind::View => {
            let own = role.tables.iter().filter(|one| {
                is_it(&&one.name)
                    && in_version(one.since.as_ref(), one.until.as_ref(), stage.version())
            });
            own.flat_map(|one| one.privileges.iter().map(String::as_str)).collect()
        }
    };
    Wanted { words, is_due: is_due(stage, object) }
}

fn is_due(stage: &Stage<'_>, object: &Owned) -> bool {
    let mut tables = stage.contract().model.tables.iter();
    let table = tables.find(|table| {
        Some(table.schema.as_str()) == object.schema.as_deref() && table.name == object.name
    });
    let is_relation = matches!(object.kind, ObjectKind::Table | ObjectKind::View);
    !is_relation || table.is_none_or(|table| stage.table(table).is_ok())
}

/// Functions that it is to call and that are not there.
fn missing_functions(rights: &Rights, role: &Role) -> Vec<Finding> {
    let is_there = |written: &&String| {
        let (schema, name) = split_name(written);
        rights.objects.iter().any(|one| {
            one.kind == ObjectKind::Function
                && one.schema.as_deref() == Some(schema)
                && one.name == name
        })
    };
    let missing = role.execute.iter().filter(|written| !is_there(written));
    missing
        .map(|written| Finding {
            object: written.clone(),
            expected: format!("a function that {} may call", role.name),
            found: "no such function".to_owned(),
            remedy: Some("make it anew, as the migration that brings it does".to_owned()),
        })
        .collect()
}

fn of_everybody(stage: &Stage<'_>) -> Result<Outcome, String> {
    stage.still()?;
    let contract = stage.contract();
    let expects = |role: &Role| stage.expects(role.since.as_ref(), role.until.as_ref());
    // From the first version on that has one of the roles.
    contract.roles().map(expects).reduce(Result::or).unwrap_or(Ok(()))?;
    let rights = rights(stage)?;
    let none = Wanted { words: Vec::new(), is_due: true };
    let known = |object: &&Owned| {
        let name = spoken_name(object.schema.as_deref().unwrap_or_default(), &object.name);
        object.kind != ObjectKind::Function || contract.model.known.functions.contains(&name)
    };
    let objects: Vec<&Owned> = rights.objects.iter().filter(known).collect();
    let findings =
        objects.iter().flat_map(|object| Holder::Everybody.compare(object, &none)).collect();
    Ok(compared(objects.len(), format!("rights on {} objects", objects.len()), findings))
}

/// Who has rights.
#[derive(Clone, Copy)]
enum Holder<'a> {
    Role(&'a str),
    Everybody,
}

impl Holder<'_> {
    fn quoted(self) -> String {
        match self {
            Self::Role(name) => quote_ident(name),
            Self::Everybody => "PUBLIC".to_owned(),
        }
    }

    fn holds(self, grant: &Grant) -> bool {
        match self {
            Self::Role(name) => grant.grantee.as_deref() == Some(name),
            Self::Everybody => grant.grantee.is_none(),
        }
    }

    /// Whether nobody need grant it. Whoever may log in may connect, and make temporary tables unless
    /// that is taken away; everybody may look a name up in `public`.
    fn is_free(self, object: &Owned, privilege: &str) -> bool {
        match (object.kind, privilege) {
            (ObjectKind::Database, word) => word != "CREATE",
            (ObjectKind::Schema, "USAGE") => matches!(self, Self::Everybody),
            _ => false,
        }
    }

    /// What the holder lacks, and has too much.
    fn compare(self, object: &Owned, wanted: &Wanted<'_>) -> Vec<Finding> {
        let who = self.quoted();
        let on = format!("ON {}", target(object));
        let held: Vec<&Grant> = object.grants.iter().filter(|one| self.holds(one)).collect();
        let mut findings = Vec::new();
        let has = |word: &str| {
            held.iter()
                .any(|one| one.column.is_none() && one.privileges.iter().any(|it| it == word))
        };
        for word in wanted.words.iter().filter(|word| wanted.is_due && !has(word)) {
            let grant = format!("GRANT {word} {on} TO {who}");
            findings.push(finding(
                spoken(object),
                format!("{word} for {who}"),
                "not granted",
                grant,
            ));
        }
        for grant in held {
            let column = grant.column.as_ref().map(|name| format!(" ({})", quote_ident(name)));
            let column = column.unwrap_or_default();
            for word in grant.privileges.iter().filter(|word| !self.is_free(object, word)) {
                let is_wanted = grant.column.is_none() && wanted.words.contains(&word.as_str());
                if !is_wanted {
                    let revoke = format!("REVOKE {word}{column} {on} FROM {who}");
                    let expected = format!("no {word}{column} for {who}");
                    findings.push(finding(spoken(object), expected, "granted", revoke));
                } else if grant.grantable.contains(word) {
                    let revoke = format!("REVOKE GRANT OPTION FOR {word} {on} FROM {who}");
                    let expected = format!("{word} for {who}, not to be given on");
                    findings.push(finding(spoken(object), expected, "with grant option", revoke));
                }
            }
        }
        findings
    }
}

/// The object as findings name it.
fn spoken(object: &Owned) -> String {
    let arguments = object.arguments.as_ref().map(|list| format!("({list})")).unwrap_or_default();
    match &object.schema {
        Some(schema) if object.kind != ObjectKind::Schema => {
            format!("{schema}.{}{arguments}", object.name)
        }
        _ => format!("{} {}", object.kind.word(), object.name),
    }
}

/// The object as SQL names it.
fn name_of(object: &Owned) -> String {
    let arguments = object.arguments.as_ref().map(|list| format!("({list})")).unwrap_or_default();
    match &object.schema {
        Some(schema) if object.kind != ObjectKind::Schema => {
            qualified(schema, &object.name) + &arguments
        }
        _ => quote_ident(&object.name),
    }
}

/// The object as `GRANT` and `REVOKE` take it.
fn target(object: &Owned) -> String {
    let word = match object.kind {
        ObjectKind::Table | ObjectKind::View => "TABLE",
        ObjectKind::Sequence => "SEQUENCE",
        ObjectKind::Function => "ROUTINE",
        ObjectKind::Schema => "SCHEMA",
        ObjectKind::Database => "DATABASE",
    };
    format!("{word} {}", name_of(object))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, remedies, unproven};
    use super::*;

    const WRITER: &str = "role.readings_writer";

    /// The object of that kind and name, to change who may do what with it.
    fn object<'a>(seen: &'a mut Observation, kind: ObjectKind, name: &str) -> &'a mut Owned {
        let all = &mut seen.snapshot.rights.as_mut().unwrap().objects;
        all.iter_mut().find(|one| one.kind == kind && one.name == name).unwrap()
    }

    fn grant(grantee: Option<&str>, column: Option<&str>, word: &str) -> Grant {
        let owned = |text: &str| text.to_owned();
        Grant {
            grantee: grantee.map(owned),
            column: column.map(owned),
            privileges: vec![owned(word)],
            grantable: Vec::new(),
        }
    }

    #[test]
    fn a_right_too_few_is_refuted_and_granted_again() {
        let fewer = |seen: &mut Observation| {
            let table = object(seen, ObjectKind::Table, "readings");
            table.grants[1].privileges.retain(|word| word != "INSERT");
        };
        assert_eq!(refuted(fewer), [WRITER]);
        let mend = "GRANT INSERT ON TABLE \"public\".\"readings\" TO \"readings_writer\"";
        assert_eq!(remedies(WRITER, fewer), [mend]);
        let nameless = |seen: &mut Observation| {
            let schema = object(seen, ObjectKind::Schema, "public");
            schema.grants.retain(|one| one.grantee.as_deref() != Some("readings_writer"));
        };
        assert_eq!(refuted(nameless), [WRITER]);
        let uncalled = |seen: &mut Observation| {
            object(seen, ObjectKind::Function, "mend").grants.clear();
        };
        assert_eq!(refuted(uncalled), [WRITER]);
        let gone = |seen: &mut Observation| {
            let rights = seen.snapshot.rights.as_mut().unwrap();
            rights.objects.retain(|one| one.kind != ObjectKind::Function);
        };
        assert_eq!(refuted(gone), [WRITER]);
    }

    #[test]
    fn a_right_too_many_is_refuted_and_revoked() {
        let cases = [
            (ObjectKind::Table, "readings", "TRUNCATE", "TABLE \"public\".\"readings\""),
            (ObjectKind::Sequence, "numbers", "USAGE", "SEQUENCE \"public\".\"numbers\""),
            (ObjectKind::Schema, "public", "CREATE", "SCHEMA \"public\""),
            (ObjectKind::Database, "readings", "CREATE", "DATABASE \"readings\""),
        ];
        for (kind, name, word, on) in cases {
            let more = |who: Option<&'static str>| {
                move |seen: &mut Observation| {
                    object(seen, kind, name).grants.push(grant(who, None, word));
                }
            };
            assert_eq!(refuted(more(Some("readings_writer"))), [WRITER], "{word}");
            let mend = format!("REVOKE {word} ON {on} FROM \"readings_writer\"");
            assert_eq!(remedies(WRITER, more(Some("readings_writer"))), [mend]);
            assert_eq!(refuted(more(None)), [EVERYBODY], "{word}");
            assert_eq!(refuted(more(Some("somebody"))), [""; 0], "{word}");
        }
        let called = |seen: &mut Observation| {
            object(seen, ObjectKind::Function, "mend").grants.push(grant(None, None, "EXECUTE"));
        };
        assert_eq!(refuted(called), [EVERYBODY]);
        let mend = "REVOKE EXECUTE ON ROUTINE \"public\".\"mend\"(integer) FROM PUBLIC";
        assert_eq!(remedies(EVERYBODY, called), [mend]);
        let part = |seen: &mut Observation| {
            let own = grant(Some("readings_writer"), Some("value"), "UPDATE");
            object(seen, ObjectKind::Table, "readings").grants.push(own);
        };
        let mend =
            "REVOKE UPDATE (\"value\") ON TABLE \"public\".\"readings\" FROM \"readings_writer\"";
        assert_eq!(remedies(WRITER, part), [mend]);
        let given_on = |seen: &mut Observation| {
            let table = object(seen, ObjectKind::Table, "readings");
            table.grants[1].grantable.push("INSERT".to_owned());
        };
        assert_eq!(refuted(given_on), [WRITER]);
    }

    #[test]
    fn what_everybody_may_do_in_a_database_is_free() {
        let free = |seen: &mut Observation| {
            let database = object(seen, ObjectKind::Database, "readings");
            database.grants.push(grant(None, None, "TEMPORARY"));
            database.grants.push(grant(Some("readings_writer"), None, "CONNECT"));
            object(seen, ObjectKind::Schema, "public").grants.push(grant(None, None, "USAGE"));
        };
        assert_eq!(refuted(free), [""; 0]);
    }

    #[test]
    fn a_role_that_is_gone_or_more_than_a_group_is_refuted() {
        fn first(seen: &mut Observation) -> &mut crate::catalog::RoleFacts {
            &mut seen.snapshot.rights.as_mut().unwrap().roles[0]
        }
        let gone = |seen: &mut Observation| seen.snapshot.rights.as_mut().unwrap().roles.clear();
        assert_eq!(refuted(gone), [WRITER]);
        for word in ["SUPERUSER", "CREATEROLE", "CREATEDB", "BYPASSRLS", "REPLICATION", "LOGIN"] {
            let more = |seen: &mut Observation| first(seen).attributes.push(word.to_owned());
            assert_eq!(refuted(more), [WRITER]);
            let mend = format!("ALTER ROLE \"readings_writer\" NO{word}");
            assert_eq!(remedies(WRITER, more), [mend]);
        }
        let member = |seen: &mut Observation| first(seen).member_of.push("postgres".to_owned());
        assert_eq!(remedies(WRITER, member), ["REVOKE \"postgres\" FROM \"readings_writer\""]);
        let no_member = |seen: &mut Observation| first(seen).member_of.clear();
        assert_eq!(remedies(WRITER, no_member), ["GRANT \"pg_monitor\" TO \"readings_writer\""]);
        let owner = |seen: &mut Observation| {
            object(seen, ObjectKind::Table, "readings").owner = "readings_writer".to_owned();
        };
        assert_eq!(refuted(owner), [WRITER]);
    }

    #[test]
    fn rights_that_were_not_read_are_unproven() {
        let unread = |seen: &mut Observation| seen.snapshot.rights = None;
        assert_eq!(unproven(unread), [WRITER, EVERYBODY]);
    }
}
