//! A server of another version, without its extensions, and set otherwise.

use semver::VersionReq;

use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{quote_ident, quote_literal};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let server = &ground.contract.model.server;
    let Ok(future) = VersionReq::parse(">=999") else { return Vec::new() };
    let asked = future.clone();
    let mut all = vec![Sabotage::contract("server.version", "another version", move |contract| {
        contract.model.server.postgresql = asked.clone();
    })];
    for (at, extension) in server.extensions.iter().enumerate() {
        let id = format!("server.extension.{}", extension.name);
        let asked = future.clone();
        all.push(Sabotage::contract(id, "another version", move |contract| {
            if let Some(extension) = contract.model.server.extensions.get_mut(at) {
                extension.version = asked.clone();
            }
        }));
    }
    for (at, setting) in server.settings.iter().enumerate() {
        let id = format!("server.setting.{}", setting.name);
        let other = ground.settings.get(&setting.name.to_lowercase()).and_then(Option::as_ref);
        all.push(match other {
            Some(value) => Sabotage::sql(
                id,
                format!("set to {value}"),
                [format!("SET LOCAL {} = {}", quote_ident(&setting.name), quote_literal(value))],
            ),
            None => Sabotage::contract(id, "another value", move |contract| {
                if let Some(setting) = contract.model.server.settings.get_mut(at) {
                    setting.value.push_str(" or another");
                }
            }),
        });
    }
    let all_of_them = "SET LOCAL max_parallel_workers = 1024";
    all.push(Sabotage::sql("server.workers", "parallel queries take them all", [all_of_them]));
    all
}
