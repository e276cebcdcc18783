//! Query contracts.

use super::page::{Page, cell, cells, yes};
use crate::contract::{Contract, Query, QuerySql};
use crate::markup::{block, code, text};

pub(super) fn write(page: &mut Page, contract: &Contract) {
    let queries = &contract.model.queries;
    if queries.is_empty() {
        return;
    }
    page.heading(2, "Query contracts");
    page.table(
        &["query", "consumers", "p95 at most", "calls a second"],
        queries.iter().filter_map(|query| {
            let sla = query.sla.as_ref()?;
            Some(vec![
                cell(&query.name),
                consumers(query),
                format!("{} ms", sla.p95_ms),
                sla.per_second.to_string(),
            ])
        }),
    );
    for (query, sql) in queries.iter().zip(&contract.query_sql) {
        self::query(page, query, sql);
    }
}

fn consumers(query: &Query) -> String {
    if query.consumers.is_empty() {
        return "–".to_owned();
    }
    query.consumers.iter().map(|name| text(name)).collect::<Vec<_>>().join(", ")
}

fn query(page: &mut Page, query: &Query, sql: &QuerySql) {
    page.heading(3, &code(&query.name));
    page.paragraph(&format!("{}.", text(&query.meaning)));
    page.item(&format!("method {}, file {}", code(&query.method), code(&query.file)));
    page.item(&format!("consumers: {}", consumers(query)));
    match &query.sla {
        Some(sla) => page.item(&format!(
            "95 of 100 calls within {} ms at {} calls a second",
            sla.p95_ms, sla.per_second
        )),
        None => page.item("no promise about its time"),
    }
    if let Some(plan) = &query.plan {
        let chunks =
            if plan.chunk_exclusion { "; chunks outside the range are left out" } else { "" };
        page.item(&format!("planned with one of {}{chunks}", cells(&plan.indexes)));
    }
    page.end_list();
    page.table(
        &["parameter", "name", "type"],
        query.parameters.iter().enumerate().map(|(at, one)| {
            vec![cell(&format!("${}", at + 1)), cell(&one.name), cell(&one.data_type)]
        }),
    );
    if query.results.is_empty() {
        page.paragraph("It returns no rows.");
    }
    page.table(
        &["result column", "type", "null"],
        query
            .results
            .iter()
            .map(|one| vec![cell(&one.name), cell(&one.data_type), yes(one.nullable).to_owned()]),
    );
    page.paragraph(&block("sql", &sql.statement));
}
