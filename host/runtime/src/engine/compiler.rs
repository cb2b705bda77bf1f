//! The compiler in a process of its own: what the host starts, how long it waits, and what it makes of the answer.
//!
//! Half a megabyte of the wrong kind takes a compiler minutes and gigabytes (RES-12). So the host hands the bytes to a
//! child ([`super::child`]) that limits itself, and the host limits what the child can't: wall-clock time, and how
//! much is read back. What the child says is text of a stranger. What it compiled is native code all the same, and
//! trusted as such: see `docs/TRUST.md`. Which program the child runs is for the front end to say.

use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use rustix::process::Signal;

use crate::engine::CompileError;
use crate::engine::child::Ended;
use crate::engine::child::Work;

/// How often the host looks whether a child that has said everything has ended.
const PAUSE: Duration = Duration::from_millis(1);

/// What compiling a component may take, and what compiling any component may take at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Seconds of processor time, all threads together.
    pub cpu_seconds: u64,
    /// Milliseconds of wall-clock time.
    pub wall_ms: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory_bytes: limits::COMPILE_MEMORY_BYTES_MAX,
            cpu_seconds: limits::COMPILE_CPU_SECONDS_MAX,
            wall_ms: limits::COMPILE_WALL_MS_MAX,
        }
    }
}

impl CompileLimits {
    /// What a component of this size may take: a small one gets no share of what only a large one needs.
    fn for_size(&self, bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let memory_bytes = bytes.saturating_mul(limits::COMPILE_MEMORY_BYTES_PER_BYTE);
        let cpu_seconds = (bytes / limits::MIB).saturating_mul(limits::COMPILE_CPU_SECONDS_PER_MIB);
        Self {
            memory_bytes: memory_bytes.saturating_add(limits::COMPILE_MEMORY_BYTES_BASE).min(self.memory_bytes),
            cpu_seconds: cpu_seconds.saturating_add(limits::COMPILE_CPU_SECONDS_BASE).min(self.cpu_seconds),
            wall_ms: self.wall_ms,
        }
    }
}

/// What tells the child to lift a module rather than to compile a component.
pub const LIFT: &str = "--lift";

/// The door to the compiler: a program that calls [`super::child::serve`]. It is started with its arguments, and after
/// these with [`LIFT`] if it is to lift, the bytes of memory and the seconds of processor time that it is to limit itself to.
#[derive(Debug)]
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: CompileLimits,
    /// One component at a time: it uses every processor as it is, and the memory of several would add up.
    turn: Mutex<()>,
}

impl Compiler {
    /// A compiler that is started as `program` with `arguments`.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, limits: CompileLimits) -> Self {
        Self { program, arguments, limits, turn: Mutex::new(()) }
    }

    /// Compiles a component to native code for this host's engine.
    pub(super) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.run(Work::Compile, component)
    }

    /// Lifts a core module to a component.
    pub(super) fn lift(&self, module: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.run(Work::Lift, module)
    }

    fn run(&self, work: Work, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = self.limits.for_size(bytes.len());
        let mut child = self.start(work, &limits).map_err(|error| CompileError::Compiler(error.to_string()))?;
        let bytes_max = match work {
            Work::Compile => limits::COMPILED_BYTES_MAX,
            Work::Lift => limits::LIFTED_BYTES_MAX,
        };
        let said = self.listen(&mut child, bytes, bytes_max);
        // Whatever happened, nothing of it is left behind.
        let _ = child.kill();
        let _ = child.wait();
        judge(said.map_err(|error| CompileError::Compiler(error.to_string()))?, &limits)
    }

    /// Nothing of this process's environment goes to the child. It has no folder of ours, and no terminal.
    fn start(&self, work: Work, bounds: &CompileLimits) -> io::Result<Child> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(limits::COMPILE_THREADS_MAX);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args((work == Work::Lift).then_some(LIFT));
        command.args([bounds.memory_bytes.to_string(), bounds.cpu_seconds.to_string()]);
        command.env_clear().env("RAYON_NUM_THREADS", threads.to_string()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// Writes and reads at once, each pipe on a thread of its own. None of them is waited for: a child that has let
    /// others hold its pipes must not hold the host.
    fn listen(&self, child: &mut Child, component: &[u8], bytes_max: u64) -> io::Result<Said> {
        let deadline = Instant::now() + Duration::from_millis(self.limits.wall_ms);
        let gone = || io::Error::other("the compiler's pipes are gone");
        let mut stdin = child.stdin.take().ok_or_else(gone)?;
        let component = component.to_vec();
        // A child that does not read to the end has its reasons, and says them.
        std::thread::Builder::new().spawn(move || drop(stdin.write_all(&component)))?;
        let code = collect(child.stdout.take().ok_or_else(gone)?, bytes_max)?;
        let text = collect(child.stderr.take().ok_or_else(gone)?, limits::MANIFEST_BYTES_MAX)?;
        let Ok(code) = code.recv_timeout(left(deadline)) else { return Ok(Said::TooLate) };
        let Some(code) = code? else { return Ok(Said::TooMuch { bytes_max }) };
        let text = match text.recv_timeout(left(deadline)) {
            Ok(text) => text?.unwrap_or_default(),
            Err(_) => return Ok(Said::TooLate),
        };
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                return Ok(Said::Ended { status, code, text: String::from_utf8_lossy(&text).into_owned() });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Said::TooLate)
    }
}

/// What was heard of a child until it ended, or was late.
enum Said {
    Ended { status: ExitStatus, code: Vec<u8>, text: String },
    TooLate,
    TooMuch { bytes_max: u64 },
}

/// What the child's ending says about the component.
fn judge(said: Said, bounds: &CompileLimits) -> Result<Vec<u8>, CompileError> {
    let (status, code, text) = match said {
        Said::Ended { status, code, text } => (status, code, text),
        Said::TooLate => return Err(CompileError::Time { wall_ms: bounds.wall_ms }),
        Said::TooMuch { bytes_max } => return Err(CompileError::Code { bytes_max }),
    };
    let memory = CompileError::Memory { mebibytes: bounds.memory_bytes / limits::MIB };
    match ended(status) {
        Some(Ended::Done) => Ok(code),
        Some(Ended::Refused) => Err(CompileError::Invalid(one_line(&text))),
        Some(Ended::OutOfMemory) => Err(memory),
        Some(Ended::Failed) => Err(CompileError::Compiler(one_line(&text))),
        None if status.signal() == Some(Signal::XCPU.as_raw()) => {
            Err(CompileError::Cpu { seconds: bounds.cpu_seconds })
        }
        // What Rust itself says before it aborts, in both cases.
        None if text.contains("memory allocation of ") => Err(memory),
        None if text.contains("has overflowed its stack") => Err(CompileError::Stack),
        None => Err(CompileError::Crashed(status.to_string())),
    }
}

fn ended(status: ExitStatus) -> Option<Ended> {
    Ended::ALL.into_iter().find(|ended| status.code() == Some(i32::from(ended.code())))
}

/// Reads a pipe to its end on another thread; none if there is more than the limit.
fn collect(pipe: impl Read + Send + 'static, bytes_max: u64) -> io::Result<Receiver<io::Result<Option<Vec<u8>>>>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.take(bytes_max + 1).read_to_end(&mut bytes);
        let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max);
        // Whoever has stopped waiting does not want it.
        let _ = sender.send(read.map(|_| fits.then_some(bytes)));
    })?;
    Ok(receiver)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    /// A compiler whose child is a shell: it says what a child of ours would never say.
    fn shell(script: &str, wall_ms: u64) -> Compiler {
        let arguments = ["-c", script].map(OsString::from).into();
        Compiler::new(PathBuf::from("/bin/sh"), arguments, CompileLimits { wall_ms, ..CompileLimits::default() })
    }

    fn says(script: &str) -> String {
        shell(script, 3_000).compile(b"component").expect_err(script).to_string()
    }

    #[test]
    fn every_ending_has_its_error() {
        for (script, wanted) in [
            ("echo 'line one\nline two' >&2; exit 1", "line one"),
            ("exit 4", "MiB of memory"),
            ("echo oh >&2; exit 70", "the compiler does not work: oh"),
            ("kill -XCPU $$", "of processor time"),
            ("echo memory allocation of 7 bytes failed >&2; kill -ABRT $$", "MiB of memory"),
            ("echo thread main has overflowed its stack >&2; kill -ABRT $$", "nested too deeply"),
            ("kill -SEGV $$", "did not survive"),
            ("exit 255", "did not survive"),
        ] {
            assert!(says(script).contains(wanted), "{script}: {}", says(script));
        }
        assert_eq!(shell("cat", 3_000).compile(b"native code").expect("its answer"), b"native code");
    }

    #[test]
    fn child_that_goes_on_is_ended() {
        // RES-12: whatever it keeps open, and whoever else holds its pipes.
        for script in ["sleep 60", "exec >&- 2>&-; sleep 60", "sleep 60 & exit 0", "while :; do :; done"] {
            let started = Instant::now();
            let error = shell(script, 200).compile(b"component").expect_err(script);
            assert!(matches!(error, CompileError::Time { wall_ms: 200 }), "{script}: {error}");
            assert!(started.elapsed() < Duration::from_secs(5), "{script}");
        }
    }

    #[test]
    fn child_that_floods_is_cut_off() {
        let error = shell("cat /dev/zero", 60_000).compile(b"component").expect_err("there is no end");
        assert!(matches!(error, CompileError::Code { .. }), "{error}");
        assert!(says("head -c 1000000 /dev/zero | tr '\\0' 'x' >&2; exit 1").len() < 2_000);
    }

    #[test]
    fn missing_compiler_is_our_fault() {
        let none = Compiler::new(PathBuf::from("/nonexistent"), Vec::new(), CompileLimits::default());
        assert!(matches!(none.compile(b"component"), Err(CompileError::Compiler(_))));
    }

    #[test]
    fn answer_that_is_no_code_is_refused() {
        let engine = Engine::new().expect("an engine").with_compiler(shell("echo not native code", 3_000));
        let bytes = b"\0asm\x0d\0\x01\0";
        let digest = ringfence_model::digest::Digest::of(bytes);
        assert!(matches!(engine.compile(&digest, bytes), Err(CompileError::Compiler(_))));
    }

    #[test]
    fn modules_are_lifted_by_the_child() {
        // RES-12, MAL-01: not a byte behind the first eight is read in this process.
        let engine = |script| Engine::new().expect("an engine").with_compiler(shell(script, 300));
        let module = b"\0asm\x01\0\0\0 and more";
        let answer = "[ \"$0\" = --lift ] && printf '\\000asm\\015\\000\\001\\000 and more'";
        let lifted = engine(answer).lift(module).expect("its answer").into_owned();
        assert_eq!(lifted, b"\0asm\x0d\0\x01\0 and more");
        for (script, wanted) in [
            ("cat", "what it was lifted to is no component"),
            ("true", "what it was lifted to is no component"),
            ("echo no >&2; exit 1", "it is a core module that can't be lifted to a component: no"),
            ("exit 4", "MiB of memory"),
            ("kill -SEGV $$", "did not survive"),
            ("sleep 60", "longer than 300 ms"),
        ] {
            let error = engine(script).lift(module).expect_err(script).to_string();
            assert!(error.contains(wanted), "{script}: {error}");
        }
        // A component is what it is, and nobody is asked.
        assert_eq!(engine("exit 1").lift(b"\0asm\x0d\0\x01\0").expect("itself").as_ref(), b"\0asm\x0d\0\x01\0");
    }

    #[test]
    fn small_components_get_a_small_share() {
        // RES-12
        let most = CompileLimits::default();
        let of = |bytes: u64| most.for_size(usize::try_from(bytes).expect("a size"));
        assert_eq!(of(0).memory_bytes, limits::COMPILE_MEMORY_BYTES_BASE);
        assert_eq!(of(0).cpu_seconds, limits::COMPILE_CPU_SECONDS_BASE);
        assert!(of(limits::MIB).memory_bytes < most.memory_bytes / 4);
        assert_eq!(of(limits::COMPONENT_BYTES_MAX), most);
        let lowered = CompileLimits { memory_bytes: 7, cpu_seconds: 1, wall_ms: 2 };
        assert_eq!(lowered.for_size(1_000_000), lowered);
    }
}
