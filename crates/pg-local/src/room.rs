//! Namespaces of a server's own: small disks that fill up, and a network whose host can vanish.
//!
//! A holder process keeps the namespaces. It reads from a pipe that only this program holds open and
//! ends with it; mounts and network devices end with the last process inside, so that nothing is left
//! to clean up, whatever ended this program.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use crate::error::Error;
use crate::run::{ServerUser, output};
use crate::runtime::Runtime;

/// Longest time until the holder is in its namespaces.
const ENTER: Duration = Duration::from_secs(5);

/// Waits for the end of the pipe. Connections that were cut off keep a network namespace for minutes,
/// so the link to it is removed by hand.
const HOLDER: &str = r"
read -r word
ip -o link show type veth | while IFS=': @' read -r number name rest; do ip link del $name; done
";

/// Namespaces that a server can run in.
#[derive(Debug)]
pub struct Room {
    holder: Child,
    link: Option<Link>,
}

/// A pair of network devices: one end here, one inside.
#[derive(Debug)]
struct Link {
    inside: String,
    address: Ipv4Addr,
}

impl Room {
    /// A room in which disks of fixed size can be mounted.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with the reason when the system does not permit it.
    pub fn with_mounts() -> Result<Self, Error> {
        Ok(Self { holder: hold(&["-m"])?, link: None })
    }

    /// A room with a network of its own, joined to this machine's by one link.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with the reason when the system does not permit it.
    pub fn with_network() -> Result<Self, Error> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let mut room = Self { holder: hold(&["-m", "-n"])?, link: None };
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % 63;
        // Link-local addresses: nothing else on the machine is routed there.
        let third = u8::try_from(std::process::id() % 250).unwrap_or_default() + 1;
        let (here, there) = (number * 4 + 1, number * 4 + 2);
        let name = format!("dbr{}{number}", std::process::id());
        let (outside, inside) = (format!("{name}a"), format!("{name}b"));
        let holder = room.holder.id().to_string();
        let ip = |args: &[&str]| output(Command::new("ip").args(args));
        ip(&["link", "add", &outside, "type", "veth", "peer", "name", &inside, "netns", &holder])?;
        room.link =
            Some(Link { inside: inside.clone(), address: Ipv4Addr::new(169, 254, third, there) });
        ip(&["addr", "add", &format!("169.254.{third}.{here}/30"), "dev", &outside])?;
        ip(&["link", "set", &outside, "up"])?;
        room.run("ip", &["addr", "add", &format!("169.254.{third}.{there}/30"), "dev", &inside])?;
        room.run("ip", &["link", "set", "lo", "up"])?;
        room.run("ip", &["link", "set", &inside, "up"])?;
        Ok(room)
    }

    /// The address of a server inside, when the room has a network.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.link.as_ref().map(|link| link.address)
    }

    /// Cuts the link: what is sent either way is lost without a word.
    ///
    /// # Errors
    ///
    /// [`Error::Program`].
    pub fn vanish(&self) -> Result<(), Error> {
        self.set_link("down")
    }

    /// Mends the link.
    ///
    /// # Errors
    ///
    /// [`Error::Program`].
    pub fn reappear(&self) -> Result<(), Error> {
        self.set_link("up")
    }

    /// The state of the link as the system inside tells it: `UP`, `DOWN`.
    ///
    /// # Errors
    ///
    /// [`Error::Program`].
    pub fn link_state(&self) -> Result<String, Error> {
        let Some(link) = &self.link else { return Ok("none".to_owned()) };
        let said = self.run("ip", &["-br", "link", "show", "dev", &link.inside])?;
        Ok(said.split_whitespace().nth(1).unwrap_or_default().to_owned())
    }

    fn set_link(&self, state: &str) -> Result<(), Error> {
        let Some(link) = &self.link else { return Ok(()) };
        self.run("ip", &["link", "set", &link.inside, state]).map(drop)
    }

    /// Mounts an empty disk of `megabytes` at a folder, for the server's user.
    ///
    /// # Errors
    ///
    /// [`Error::Program`], [`Error::File`].
    pub fn mount_disk(&self, folder: &Path, megabytes: u32) -> Result<(), Error> {
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(folder)
            .map_err(Error::file(folder))?;
        let user = ServerUser::current()?;
        user.own(folder)?;
        let owner = fs::metadata(folder).map_err(Error::file(folder))?;
        let options =
            format!("size={megabytes}m,mode=0700,uid={},gid={}", owner.uid(), owner.gid());
        let place = folder.to_string_lossy();
        self.run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &place]).map(drop)
    }

    /// Gives a mounted disk another size.
    ///
    /// # Errors
    ///
    /// [`Error::Program`].
    pub fn resize_disk(&self, folder: &Path, megabytes: u32) -> Result<(), Error> {
        let options = format!("remount,size={megabytes}m");
        self.run("mount", &["-o", &options, &folder.to_string_lossy()]).map(drop)
    }

    /// Bytes that are free on the disk of a folder, as seen inside.
    ///
    /// # Errors
    ///
    /// [`Error::Program`].
    pub fn free(&self, folder: &Path) -> Result<u64, Error> {
        let said = self.run("stat", &["-f", "-c", "%a %S", &folder.to_string_lossy()])?;
        let mut words = said.split_whitespace().map(|word| word.parse().unwrap_or(0));
        Ok(words.next().unwrap_or(0) * words.next().unwrap_or(0))
    }

    /// Runs a program inside, as root of the room, and gives what it printed.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with its last words.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String, Error> {
        output(self.inside().arg(program).args(args))
    }

    /// A command that runs inside, as root of the room, whatever program and arguments are added to it.
    #[must_use]
    pub fn inside(&self) -> Command {
        let mut command = self.enter();
        command.arg("--");
        command
    }

    /// A command for a program of the runtime, run inside as the server's user.
    pub(crate) fn command(
        &self,
        runtime: &Runtime,
        program: &str,
        user: ServerUser,
        folder: &Path,
    ) -> Command {
        let mut command = self.enter();
        // The guard knows the server by its place.
        command.arg(format!("--wdns={}", folder.display()));
        command.arg("--");
        if let ServerUser::Other { uid, gid } = user {
            command.arg("setpriv").arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
            command.arg("--clear-groups");
        }
        command.arg(runtime.bin().join(program));
        command
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m"]);
        if self.link.is_some() {
            command.arg("-n");
        }
        command
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// Starts the process that keeps the namespaces.
fn hold(namespaces: &[&str]) -> Result<Child, Error> {
    let failed = |reason: String| Error::Program { program: "unshare".to_owned(), reason };
    if !geteuid().is_root() {
        return Err(failed("namespaces of a server's own need root".to_owned()));
    }
    let mut holder = Command::new("unshare")
        .args(namespaces)
        .args(["--", "sh", "-c", HOLDER])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let begun = Instant::now();
    // It runs `sh` when namespaces are made and no mount inside is seen outside any more.
    while name_of(holder.id()) != "sh" {
        if let Ok(Some(status)) = holder.try_wait() {
            let mut words = String::new();
            if let Some(mut errors) = holder.stderr.take() {
                let _ = std::io::Read::read_to_string(&mut errors, &mut words);
            }
            return Err(failed(format!("{status}: {}", words.trim())));
        }
        if begun.elapsed() > ENTER {
            let _ = holder.kill();
            let _ = holder.wait();
            return Err(failed(format!("no namespaces within {ENTER:?}")));
        }
        sleep(Duration::from_millis(2));
    }
    Ok(holder)
}

fn name_of(process: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    name.trim().to_owned()
}
