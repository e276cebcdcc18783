//! Roles, and what each may do.

use super::page::{Page, cell, cells};
use super::schema::bounds;
use crate::contract::Contract;
use crate::markup::{code, text};

pub(super) fn write(page: &mut Page, contract: &Contract) {
    if contract.model.roles.is_empty() {
        return;
    }
    page.heading(2, "Roles");
    page.paragraph(
        "Nobody logs in as a role; logins are members of it. Each holds the rights below and no \
         others, has none of `SUPERUSER`, `CREATEDB`, `CREATEROLE`, `REPLICATION`, `BYPASSRLS`, and \
         owns nothing. `PUBLIC` has no rights on tables, views, sequences and known functions, and \
         makes nothing.",
    );
    for role in &contract.model.roles {
        page.heading(3, &code(&role.name));
        let bounds = bounds(role.since.as_ref(), role.until.as_ref());
        let bounds = bounds.map_or_else(String::new, |bounds| format!(" ({bounds})"));
        page.paragraph(&format!("{}{bounds}.", text(&role.meaning)));
        for (what, names) in [
            ("member of", &role.member_of),
            ("names objects in", &role.usage),
            ("makes objects in", &role.create),
            ("calls", &role.execute),
            ("takes numbers from", &role.sequences),
        ] {
            if !names.is_empty() {
                page.item(&format!("{what} {}", cells(names)));
            }
        }
        page.end_list();
        page.table(
            &["table or view", "privileges", "versions"],
            role.tables.iter().map(|one| {
                let bounds = self::bounds(one.since.as_ref(), one.until.as_ref());
                let bounds = bounds.unwrap_or_else(|| "all of the role".to_owned());
                vec![cell(&one.name), cells(&one.privileges), bounds]
            }),
        );
    }
}
