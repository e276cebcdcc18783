//! What an execution plan uses: indexes and tables, with chunks counted as parts of their table.

use std::collections::BTreeSet;

use serde::Deserialize;
use tokio_postgres::Transaction;

use crate::Error;

/// What the planner chose for one statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanFacts {
    /// Names of the indexes that it uses; an index of a chunk or partition goes by the name of the
    /// index of its table that has the same definition.
    pub indexes: BTreeSet<String>,
    /// Tables, chunks and partitions that it reads.
    pub scans: Vec<Scan>,
    /// Tables of which it reads chunks or partitions.
    pub parents: Vec<Parent>,
}

/// One table, chunk or partition that a plan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The relation as `schema.name`.
    pub relation: String,
    /// The table that it is, or is a chunk or partition of, as `schema.name`.
    pub table: String,
    /// How it is read: `Seq Scan`, `Index Scan`.
    pub node: String,
    /// Its size in bytes, without its indexes.
    pub bytes: u64,
}

/// A table whose chunks or partitions a plan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The table as `schema.name`.
    pub table: String,
    /// How many of its chunks or partitions the plan reads.
    pub read: u64,
    /// How many it has.
    pub children: u64,
}

/// One node of `EXPLAIN (FORMAT JSON, VERBOSE)`.
#[derive(Debug, Deserialize)]
struct Node {
    #[serde(rename = "Node Type")]
    kind: String,
    #[serde(rename = "Schema")]
    schema: Option<String>,
    #[serde(rename = "Relation Name")]
    relation: Option<String>,
    #[serde(rename = "Index Name")]
    index: Option<String>,
    #[serde(rename = "Plans", default)]
    plans: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Explained {
    #[serde(rename = "Plan")]
    plan: Node,
}

/// Names that a plan uses, as it prints them.
#[derive(Debug, Default, PartialEq)]
struct Used {
    /// Schema and name of an index.
    indexes: BTreeSet<(String, String)>,
    /// Schema and name of a relation, and the node that reads it.
    scans: BTreeSet<(String, String, String)>,
}

impl Used {
    /// Gathers the names below a node. A node that names no schema (a bitmap index scan) works on
    /// the relation of the node above it, and its index lives in the schema of that relation.
    fn gather(&mut self, node: &Node, above: &str) {
        let schema = node.schema.as_deref().unwrap_or(above);
        if let Some(index) = &node.index {
            self.indexes.insert((schema.to_owned(), index.clone()));
        }
        // An append node of an extension names the parent, which it does not read itself.
        if let Some(relation) = node.relation.as_ref().filter(|_| node.plans_are_not_scans()) {
            self.scans.insert((schema.to_owned(), relation.clone(), node.kind.clone()));
        }
        for below in &node.plans {
            self.gather(below, schema);
        }
    }
}

impl Node {
    /// Whether the node reads its relation itself, instead of handing on rows of the nodes below
    /// that name relations of their own.
    fn plans_are_not_scans(&self) -> bool {
        self.plans.iter().all(|below| below.relation.is_none())
    }
}

/// Reads a plan document and looks its names up in the catalogs.
///
/// # Errors
///
/// [`Error::Catalog`] when the document is not a plan, [`Error::Database`] when the server fails.
pub(super) async fn read(
    transaction: &Transaction<'_>,
    document: &[u8],
) -> Result<PlanFacts, Error> {
    let used = parse(document)?;
    let (schemas, names): (Vec<String>, Vec<String>) = used.indexes.into_iter().unzip();
    let indexes = transaction.query(include_str!("plan_indexes.sql"), &[&schemas, &names]).await?;
    let indexes = indexes.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;

    let schemas: Vec<&str> = used.scans.iter().map(|scan| scan.0.as_str()).collect();
    let names: Vec<&str> = used.scans.iter().map(|scan| scan.1.as_str()).collect();
    let rows = transaction.query(include_str!("plan_relations.sql"), &[&schemas, &names]).await?;
    let mut scans = Vec::new();
    let mut parents: Vec<Parent> = Vec::new();
    for (row, (schema, name, node)) in rows.iter().zip(used.scans) {
        let bytes: i64 = row.try_get("bytes")?;
        let relation = format!("{schema}.{name}");
        let root: Option<String> = row.try_get("root")?;
        scans.push(Scan {
            table: root.unwrap_or_else(|| relation.clone()),
            relation,
            node,
            bytes: bytes.unsigned_abs(),
        });
        let Some(table) = row.try_get::<_, Option<String>>("parent")? else { continue };
        if let Some(parent) = parents.iter_mut().find(|parent| parent.table == table) {
            parent.read += 1;
        } else {
            let children: i64 = row.try_get("children")?;
            parents.push(Parent { table, read: 1, children: children.unsigned_abs() });
        }
    }
    Ok(PlanFacts { indexes, scans, parents })
}

fn parse(document: &[u8]) -> Result<Used, Error> {
    let explained: Vec<Explained> = serde_json::from_slice(document)
        .map_err(|error| Error::Catalog(format!("a plan is not as expected: {error}")))?;
    let mut used = Used::default();
    for one in &explained {
        used.gather(&one.plan, "public");
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn used(plan: &serde_json::Value) -> Used {
        parse(json!([{ "Plan": plan }]).to_string().as_bytes()).unwrap()
    }

    fn pair(schema: &str, name: &str) -> (String, String) {
        (schema.to_owned(), name.to_owned())
    }

    #[test]
    fn an_append_over_chunks_is_not_a_scan_of_its_table() {
        let chunk = json!({ "Node Type": "Index Scan", "Index Name": "chunk_idx", "Schema": "inner",
            "Relation Name": "chunk" });
        let used = used(&json!({ "Node Type": "Limit", "Plans": [
            { "Node Type": "Custom Scan", "Schema": "public", "Relation Name": "readings",
              "Plans": [chunk] },
        ]}));
        assert_eq!(used.indexes, [pair("inner", "chunk_idx")].into());
        let scan = ("inner".to_owned(), "chunk".to_owned(), "Index Scan".to_owned());
        assert_eq!(used.scans, [scan].into());
    }

    #[test]
    fn a_bitmap_index_scan_belongs_to_the_schema_of_its_heap() {
        let used = used(&json!({ "Node Type": "Bitmap Heap Scan", "Schema": "audit",
        "Relation Name": "log", "Plans": [
            { "Node Type": "BitmapOr", "Plans": [
                { "Node Type": "Bitmap Index Scan", "Index Name": "log_a" },
                { "Node Type": "Bitmap Index Scan", "Index Name": "log_b" },
            ]},
        ]}));
        assert_eq!(used.indexes, [pair("audit", "log_a"), pair("audit", "log_b")].into());
        let scan = ("audit".to_owned(), "log".to_owned(), "Bitmap Heap Scan".to_owned());
        assert_eq!(used.scans, [scan].into());
    }

    #[test]
    fn what_is_no_plan_is_an_error() {
        for document in ["", "{}", "[{}]", "[{\"Plan\": 1}]"] {
            assert!(matches!(parse(document.as_bytes()), Err(Error::Catalog(_))), "{document}");
        }
    }
}
