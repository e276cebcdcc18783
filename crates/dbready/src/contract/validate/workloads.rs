//! The workloads of figures.

use std::collections::BTreeMap;

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::measures::FigureSource;
use super::super::model::Model;
use super::super::names;
use super::Found;

pub(super) fn problems(model: &Model, files: &BTreeMap<String, String>, found: &mut Found) {
    let base = Path::new("figure");
    for (at, figure) in model.figures.iter().enumerate() {
        let Some(workload) = &figure.workload else { continue };
        let path = base.at(at).key("workload");
        found.not_blank(&path, "meaning", &workload.meaning);
        if figure.source != FigureSource::Load {
            found.push(path.clone(), "expected a figure with source = \"load\", found another");
        }
        for (key, file) in workload.files() {
            if let Err(message) = names::query_file(file) {
                found.push(path.key(key), message);
            } else if !files.contains_key(file) {
                let message = format!("expected the file {}, found none; write it", quoted(file));
                found.push(path.key(key), message);
            }
        }
    }
}
