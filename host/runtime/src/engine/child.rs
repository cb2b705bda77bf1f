//! The far side of [`super::compiler`]: a process that compiles one component, or lifts one module, and ends.
//!
//! Compiling is the one place where bytes of a stranger meet a million lines that promise nothing about them, so it
//! gets a process that has little to lose. Before it reads a byte, it puts limits on its memory and processor time,
//! lets go of every descriptor but the three, and gives up files and the network as far as the kernel can take them
//! away. It keeps no home, no key and no record, and whoever starts it judges what it says.

use std::fs::DirEntry;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::RawFd;

use landlock::ABI;
use landlock::Access as _;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::CompatLevel;
use landlock::Compatible as _;
use landlock::Ruleset;
use landlock::RulesetAttr as _;
use landlock::RulesetCreated;
use landlock::Scope;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::setrlimit;

use crate::engine::compiler::CompileLimits;

/// How the process ends: its exit code is all that the other side goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What was wanted is on standard output.
    Done,
    /// What came in is nothing that the engine takes; standard error says why.
    Refused,
    /// What came in needs more memory than there is.
    OutOfMemory,
    /// The process could not do its work; standard error says why.
    Failed,
}

impl Ended {
    /// Every ending.
    pub(super) const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::OutOfMemory, Self::Failed];

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::OutOfMemory => 4,
            Self::Failed => 70,
        }
    }
}

/// What the process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// From a component to native code.
    Compile,
    /// From a core module to a component.
    Lift,
}

/// Turns standard input into standard output, within limits. This is all that its process does, and the first thing.
pub fn serve(work: Work, bounds: &CompileLimits) -> Ended {
    match confine(bounds).and_then(|()| turn(work)) {
        Ok(()) => Ended::Done,
        Err((ended, why)) => {
            // If there is nobody to tell, the exit code says enough.
            let _ = std::io::stderr().write_all(why.as_bytes());
            ended
        }
    }
}

type Why = (Ended, String);

fn failed(what: &str) -> impl Fn(String) -> Why {
    move |error| (Ended::Failed, format!("{what}: {error}"))
}

fn turn(work: Work) -> Result<(), Why> {
    let mut read = Vec::new();
    std::io::stdin().lock().read_to_end(&mut read).map_err(|error| failed("nothing can be read")(error.to_string()))?;
    let made = match work {
        Work::Compile => compile(&read)?,
        Work::Lift => super::lift::encode(&read).map_err(|error| (Ended::Refused, error.to_string()))?,
    };
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(&made).and_then(|()| stdout.flush());
    written.map_err(|error| failed("nothing can be written")(error.to_string()))
}

fn compile(component: &[u8]) -> Result<Vec<u8>, Why> {
    let engine = super::compiling_engine().map_err(|error| failed("no engine")(error.to_string()))?;
    engine.precompile_component(component).map_err(|error| {
        let ended = if error.is::<wasmtime::OutOfMemory>() { Ended::OutOfMemory } else { Ended::Refused };
        (ended, super::root_cause(&error))
    })
}

/// The order matters: closing descriptors comes first, while no other part of the process has any, and those that are
/// left are counted last, since a rule set is a descriptor, too.
fn confine(bounds: &CompileLimits) -> Result<(), Why> {
    let wrong = |error: std::io::Error| failed("the process can't be confined")(error.to_string());
    close_inherited().map_err(wrong)?;
    std::env::set_current_dir("/").map_err(wrong)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| wrong(error.into()))?;
    let seconds = bounds.cpu_seconds;
    for (resource, current, maximum) in [
        (Resource::Core, 0, 0),
        (Resource::Fsize, 0, 0),
        (Resource::Data, bounds.memory_bytes, bounds.memory_bytes),
        (Resource::Cpu, seconds, seconds.saturating_add(1)),
    ] {
        limit(resource, current, maximum).map_err(wrong)?;
    }
    give_up_rights().map_err(failed("the process can't be confined"))?;
    limit(Resource::Nofile, 3, 3).map_err(wrong)
}

/// No limit is raised: whoever started the process may have set a lower one.
fn limit(resource: Resource, current: u64, maximum: u64) -> std::io::Result<()> {
    let before = rustix::process::getrlimit(resource);
    let lower = |new: u64, old: Option<u64>| Some(old.map_or(new, |old| old.min(new)));
    let new = Rlimit { current: lower(current, before.current), maximum: lower(maximum, before.maximum) };
    Ok(setrlimit(resource, new)?)
}

/// Closes what the host itself was started with, and passed on without knowing it.
fn close_inherited() -> std::io::Result<()> {
    // Each entry holds on to the listing, so that all of them have to go before anything is closed.
    let number = |entry: std::io::Result<DirEntry>| Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    let numbers: Vec<Option<RawFd>> =
        std::fs::read_dir("/proc/self/fd")?.map(number).collect::<std::io::Result<_>>()?;
    numbers.into_iter().flatten().filter(|number| *number > 2).for_each(close);
    Ok(())
}

#[expect(unsafe_code, reason = "closing what belongs to nobody is unsafe in its nature")]
fn close(number: RawFd) {
    // SAFETY: this runs before anything else in this process has opened a descriptor, on its only thread, and the one
    // of the listing is closed by now; so no owner of this number exists whose file could be closed under it.
    unsafe { rustix::io::close(number) };
}

/// Takes away every file, TCP, and signals and abstract sockets to the outside; and, with these, new privileges. What
/// the kernel does not know how to take away stays: this is a second wall, behind the limits.
fn give_up_rights() -> Result<(), String> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(RulesetCreated::restrict_self);
    ruleset.map(drop).map_err(|error| error.to_string())
}

/// Whether the kernel takes files from a process that asks for it. Asking with a rule set that is dropped confines
/// nobody.
pub fn kernel_can_confine() -> bool {
    let asked = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    asked.handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn confined_thread_reaches_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let reaches = move || {
            let file = File::open("/proc/self/exe").map(drop);
            let written = File::create(std::env::temp_dir().join("ringfence-confined")).map(drop);
            [file, written, TcpStream::connect(address).map(drop), TcpListener::bind("127.0.0.1:0").map(drop)]
        };
        assert!(reaches().iter().all(Result::is_ok), "{:?}", reaches());
        // Rights are those of a thread, and of those it starts.
        let confined = std::thread::spawn(move || {
            give_up_rights().expect("rights to give up");
            reaches()
        });
        let [file, written, connected, bound] = confined.join().expect("no panic");
        let is_denied =
            |tried: &std::io::Result<()>| matches!(tried, Err(e) if e.kind() == ErrorKind::PermissionDenied);
        assert_eq!([is_denied(&file), is_denied(&written)], [kernel_can_confine(); 2], "{file:?} {written:?}");
        // TCP came to Landlock later than files did.
        assert!(connected.is_ok() == bound.is_ok() && (bound.is_ok() || is_denied(&connected)), "{connected:?}");
        let _ = std::fs::remove_file(std::env::temp_dir().join("ringfence-confined"));
    }
}
