//! The machine and the data beside every figure: what a number is worth depends on them.

use std::fs;

use serde::Serialize;
use tokio_postgres::Client;

use crate::Error;

/// The machine that the generator runs on, and the server's when it is the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: Option<String>,
    /// Processors that this program may use.
    pub processors: u64,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Kernel and its version.
    pub system: Option<String>,
    /// File system of the folder for temporary files, where managed servers keep their data.
    pub file_system: Option<String>,
    /// Whether its disk is one that turns.
    pub rotational: Option<bool>,
    /// Tables of the database by name, those with the most rows first.
    pub tables: Vec<Table>,
    /// Bytes of the whole database.
    pub database_bytes: Option<i64>,
    /// Settings of the server that decide about speed and durability.
    pub settings: Vec<(String, String)>,
}

/// One table of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Schema and name.
    pub name: String,
    /// Rows, as the planner estimates them.
    pub rows: i64,
    /// Bytes with indexes, for a hypertable with its chunks.
    pub bytes: i64,
}

impl Machine {
    /// Looks at this machine and asks the server about its data and settings.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the server refuses to tell.
    pub async fn look(client: &Client) -> Result<Self, Error> {
        let tables = client.query(include_str!("machine_tables.sql"), &[]).await?;
        let settings = client.query(include_str!("machine_settings.sql"), &[]).await?;
        let size = client.query_one("SELECT pg_database_size(current_database())", &[]).await?;
        let mut machine = Self::here();
        machine.database_bytes = Some(size.try_get(0)?);
        for row in tables {
            let (name, rows, bytes) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            machine.tables.push(Table { name, rows, bytes });
        }
        for row in settings {
            machine.settings.push((row.try_get(0)?, row.try_get(1)?));
        }
        Ok(machine)
    }

    fn here() -> Self {
        let (file_system, device) = mount(&std::env::temp_dir().display().to_string());
        Self {
            processor: value_of("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
            memory_bytes: value_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok())
                .map(|kilobytes| kilobytes * 1_024),
            system: fs::read_to_string("/proc/sys/kernel/osrelease")
                .ok()
                .map(|release| format!("Linux {}", release.trim())),
            rotational: device.and_then(|device| {
                let path = format!("/sys/dev/block/{device}/queue/rotational");
                Some(fs::read_to_string(path).ok()?.trim() == "1")
            }),
            file_system,
            ..Self::default()
        }
    }

    /// One sentence for the notes of a report.
    #[must_use]
    pub fn sentence(&self) -> String {
        let gigabytes =
            |bytes: u64| format!("{}.{} GB", bytes >> 30, (bytes % (1 << 30)) * 10 / (1 << 30));
        let processor = self.processor.as_deref().unwrap_or("processor of unknown make");
        let rows: i64 = self.tables.iter().map(|table| table.rows).sum();
        format!(
            "measured from a machine with {} × {processor}, {} of memory; {rows} rows in the database, \
             {} with indexes",
            self.processors,
            self.memory_bytes.map_or_else(|| "?".to_owned(), gigabytes),
            self.database_bytes
                .and_then(|bytes| u64::try_from(bytes).ok())
                .map_or_else(|| "?".to_owned(), gigabytes),
        )
    }
}

/// The text after `key :` in a file of such lines.
fn value_of(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the file system that holds a folder, and the number of its device.
fn mount(folder: &str) -> (Option<String>, Option<String>) {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // id parent device root place options … - type source options
    let found = text
        .lines()
        .filter_map(|line| {
            let (head, tail) = line.split_once(" - ")?;
            let mut head = head.split(' ');
            let (device, place) = (head.nth(2)?, head.nth(1)?);
            let is_above =
                place == "/" || folder == place || folder.starts_with(&format!("{place}/"));
            is_above.then(|| (place.len(), tail.split(' ').next(), device))
        })
        .max_by_key(|(length, ..)| *length);
    let (_, kind, device) = found.unwrap_or_default();
    (kind.map(str::to_owned), (!device.is_empty()).then(|| device.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::here();
        assert!(machine.processors >= 1 && machine.memory_bytes.unwrap() > 1 << 20);
        assert!(machine.file_system.is_some() && machine.system.is_some(), "{machine:?}");
        assert!(machine.sentence().contains("of memory"), "{}", machine.sentence());
    }
}
