//! Installs PostgreSQL and `TimescaleDB` from Debian's packages into a folder of our own.
//!
//! `apt-get` with private state and cache downloads and verifies the packages, `dpkg-deb` unpacks
//! them, and `patchelf` points the programs at the unpacked libraries. Nothing outside the cache
//! folder is touched, and root is not needed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::error::{Error, last_words};
use crate::progress::{Progress, Step, step};
use crate::run::output;

/// Release of Debian that the packages come from: the one with this PostgreSQL and `TimescaleDB`.
const SUITE: &str = "trixie";
const PACKAGES: [&str; 3] = ["postgresql-17", "postgresql-17-timescaledb", "patchelf"];
/// Programs, relative to the unpacked root.
const BIN: &str = "usr/lib/postgresql/17/bin";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The machine's own hooks would run on its apt, whose cache is none of ours.
const NO_HOOKS: &str = "#clear APT::Update::Pre-Invoke;\n\
                        #clear APT::Update::Post-Invoke;\n\
                        #clear APT::Update::Post-Invoke-Success;\n\
                        #clear DPkg::Pre-Invoke;\n\
                        #clear DPkg::Post-Invoke;\n\
                        #clear DPkg::Pre-Install-Pkgs;\n";
/// Folder of the runtime in the cache folder; its last part changes when its content does.
const FOLDER: &str = "runtime-17-1";

/// The bin folder of the private runtime, when it is completely installed.
pub(crate) fn installed(cache: &Path) -> Result<Option<PathBuf>, Error> {
    let folder = cache.join(FOLDER);
    match folder.try_exists() {
        Ok(true) => Ok(Some(folder.join(BIN))),
        Ok(false) => Ok(None),
        Err(source) => Err(Error::File { path: folder, source }),
    }
}

/// Installs the private runtime when it is not there, and gives its bin folder.
pub(crate) fn install(cache: &Path, progress: &Progress<'_>) -> Result<PathBuf, Error> {
    make_folder(cache)?;
    let lock = cache.join("install.lock");
    let lock = File::create(&lock).map_err(Error::file(&lock))?;
    if lock.try_lock().is_err() {
        step(progress, "waiting for another installation to end");
        lock.lock().map_err(Error::file(cache.join("install.lock")))?;
    }
    if let Some(bin) = installed(cache)? {
        return Ok(bin);
    }
    let sources = sources()?;
    // What an interrupted installation left behind is in nobody's use: we hold the lock.
    let work = cache.join("install.tmp");
    remove(&work)?;
    let done = (|| {
        make_folder(&work)?;
        let archives = download(&work, &sources, progress)?;
        let root = work.join("root");
        unpack(&archives, &root, progress)?;
        let home = cache.join(FOLDER);
        step(progress, "pointing the programs at their libraries");
        patch(&root, &home)?;
        // The rename comes last: a folder of this name is a complete installation.
        fs::rename(&root, &home).map_err(Error::file(&home))?;
        Ok(home.join(BIN))
    })();
    let cleaned = remove(&work);
    let bin = done?;
    cleaned?;
    Ok(bin)
}

/// The one-line source that the packages come from, on the mirror that the machine itself uses.
fn sources() -> Result<String, Error> {
    for program in ["apt-get", "dpkg-deb"] {
        if which::which(program).is_err() {
            let reason = format!("this is no Debian system ({program} is missing)");
            return Err(Error::Install { reason });
        }
    }
    if !Path::new(KEYRING).is_file() {
        let reason = format!("Debian's archive keys are not in {KEYRING}");
        return Err(Error::Install { reason });
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    let mirror = texts.into_iter().find_map(|text| mirror(&text)).ok_or_else(|| {
        Error::Install { reason: "apt's sources name no mirror of Debian".to_owned() }
    })?;
    Ok(format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n"))
}

/// The first mirror of Debian in a sources file, in the one-line or the deb822 form.
fn mirror(text: &str) -> Option<String> {
    let addresses = text.lines().map(str::trim).filter_map(|line| {
        if let Some(list) = line.strip_prefix("URIs:") {
            list.split_whitespace().next()
        } else {
            let rest = line.strip_prefix("deb ")?;
            rest.split_whitespace().find(|word| word.contains("://"))
        }
    });
    let is_main = |address: &&str| !address.contains("security") && address.contains("debian");
    addresses.into_iter().find(is_main).map(str::to_owned)
}

/// Options that keep apt-get inside the work folder.
fn apt_get(work: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-c").arg(work.join("apt.conf"));
    let mut option = |name: &str, value: String| {
        command.arg("-o").arg(format!("{name}={value}"));
    };
    let inside = |name: &str| work.join(name).display().to_string();
    option("Dir::State", inside("state"));
    option("Dir::State::status", inside("status"));
    option("Dir::Cache", inside("cache"));
    option("Dir::Log", inside("log"));
    option("Dir::Etc::sourcelist", inside("sources.list"));
    option("Dir::Etc::sourceparts", "/dev/null".to_owned());
    option("Dir::Etc::preferences", "/dev/null".to_owned());
    option("Dir::Etc::preferencesparts", "/dev/null".to_owned());
    option("Acquire::Languages", "none".to_owned());
    option("Acquire::Retries", "2".to_owned());
    option("Acquire::http::Timeout", "20".to_owned());
    option("Debug::NoLocking", "1".to_owned());
    if geteuid().is_root() {
        option("APT::Sandbox::User", "root".to_owned());
    }
    command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Downloads the packages and all that they need; gives their files.
fn download(work: &Path, sources: &str, progress: &Progress<'_>) -> Result<Vec<PathBuf>, Error> {
    for folder in ["state/lists/partial", "cache/archives/partial", "log"] {
        let folder = work.join(folder);
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    }
    for (file, text) in [("sources.list", sources), ("status", ""), ("apt.conf", NO_HOOKS)] {
        let file = work.join(file);
        fs::write(&file, text).map_err(Error::file(&file))?;
    }
    let unreachable = |error: Error| Error::Install {
        reason: format!("Debian's mirror does not answer as it should: {error}"),
    };
    step(progress, "asking Debian's mirror for its packages");
    output(apt_get(work).args(["--error-on=any", "update"])).map_err(unreachable)?;
    let install = ["-y", "--no-install-recommends", "install"];
    let listed = output(apt_get(work).arg("--print-uris").args(install).args(PACKAGES))
        .map_err(unreachable)?;
    // 'address' file size hash
    let sizes = listed
        .lines()
        .filter(|line| line.starts_with('\''))
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    let (packages, bytes) = sizes.fold((0_u64, 0_u64), |(n, sum), size| (n + 1, sum + size));
    let mut child = apt_get(work)
        .arg("--download-only")
        .args(install)
        .args(PACKAGES)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::Install { reason: format!("apt-get: {error}") })?;
    let archives = work.join("cache/archives");
    let status = loop {
        let doing = format!("downloading {packages} packages");
        progress(Step { doing, share: Some((size_below(&archives).min(bytes), bytes)) });
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => sleep(Duration::from_millis(100)),
            Err(error) => return Err(Error::Install { reason: format!("apt-get: {error}") }),
        }
    };
    if !status.success() {
        let said = child.stderr.take().map(std::io::read_to_string).and_then(Result::ok);
        let reason = last_words(&said.unwrap_or_default());
        return Err(unreachable(Error::Program { program: "apt-get".to_owned(), reason }));
    }
    let entries = fs::read_dir(&archives).map_err(Error::file(&archives))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    Ok(files)
}

/// Bytes in a folder and the folders in it.
fn size_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(if metadata.is_dir() { size_below(&entry.path()) } else { metadata.len() })
        })
        .sum()
}

fn unpack(archives: &[PathBuf], root: &Path, progress: &Progress<'_>) -> Result<(), Error> {
    make_folder(root)?;
    let total = archives.len() as u64;
    for (done, archive) in (0..).zip(archives) {
        let doing = format!("unpacking {total} packages");
        progress(Step { doing, share: Some((done, total)) });
        output(Command::new("dpkg-deb").arg("-x").arg(archive).arg(root))?;
    }
    // The first package's own root may have been stricter than the server's user needs.
    fs::set_permissions(root, Permissions::from_mode(0o755)).map_err(Error::file(root))
}

/// Points every program at the unpacked loader and libraries, where they will be in `home`.
fn patch(root: &Path, home: &Path) -> Result<(), Error> {
    let (libraries, loader) = loader(root)?;
    let search = format!(
        "{}:{}",
        home.join(&libraries).display(),
        home.join("usr/lib/postgresql/17/lib").display()
    );
    let bin = root.join(BIN);
    for entry in fs::read_dir(&bin).map_err(Error::file(&bin))?.flatten() {
        let program = entry.path();
        let head = File::open(&program).and_then(|mut file| {
            let mut head = [0; 4];
            std::io::Read::read_exact(&mut file, &mut head).map(|()| head)
        });
        if !head.is_ok_and(|head| head == *b"\x7fELF") {
            continue;
        }
        // The older DT_RPATH, since DT_RUNPATH does not reach the libraries' own libraries.
        output(
            Command::new(root.join(&loader))
                .arg("--library-path")
                .arg(root.join(&libraries))
                .arg(root.join("usr/bin/patchelf"))
                .arg("--force-rpath")
                .arg("--set-interpreter")
                .arg(home.join(&loader))
                .arg("--set-rpath")
                .arg(&search)
                .arg(&program),
        )?;
    }
    Ok(())
}

/// The folder of the machine's libraries and the loader in it, relative to the root.
fn loader(root: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let lib = root.join("usr/lib");
    for folder in fs::read_dir(&lib).map_err(Error::file(&lib))?.flatten() {
        let entries = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        if let Some(name) = names.find(|name| name.to_string_lossy().starts_with("ld-linux")) {
            let libraries = Path::new("usr/lib").join(folder.file_name());
            return Ok((libraries.clone(), libraries.join(name)));
        }
    }
    Err(Error::Install { reason: "the packages hold no program loader".to_owned() })
}

/// A folder that the server's user may enter, with those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(Error::file(folder))
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: folder.to_path_buf(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_from_both_forms() {
        let deb822 = "Types: deb\n# old\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(mirror(deb822).as_deref(), Some("http://mirror.example/debian"));
        let lines = "# deb http://no.example/debian x main\n\
                     deb http://security.example/debian-security x main\n\
                     deb [arch=amd64 signed-by=/k] https://mirror.example/debian x main\n";
        assert_eq!(mirror(lines).as_deref(), Some("https://mirror.example/debian"));
        assert_eq!(mirror("deb http://archive.ubuntu.example/ubuntu noble main"), None);
        assert_eq!(mirror(""), None);
    }
}
