//! Child processes that never outlive us.

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, Once, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a child may take to end once asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Children to end when we are interrupted, as `kill(2)` takes them.
static LIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A child process that ends when this is dropped, or when we are interrupted.
pub struct Guarded {
    child: Child,
    target: Pid,
}

/// Which process group a child joins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Ours: it can use the terminal.
    Shared,
    /// One of its own: all that it starts ends with it.
    Own,
}

impl Guarded {
    /// Starts `command`.
    pub fn spawn(command: &mut Command, group: Group) -> Result<Self> {
        end_children_when_interrupted();
        if group == Group::Own {
            command.process_group(0);
        }
        let program = command.get_program().to_string_lossy().into_owned();
        // Locked from before the start: an interrupt finds all that was started.
        let mut live = live();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let pid = i32::try_from(child.id()).context("process id out of range")?;
        let target = Pid::from_raw(if group == Group::Own { -pid } else { pid });
        live.push(target);
        Ok(Self { child, target })
    }

    /// Returns the process, to take its pipes from.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns how it ended, if it did.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Ends it, by force if it takes its time.
    pub fn end(&mut self) {
        // A process that is gone cannot be signalled, and that is what we want.
        let _ = kill(self.target, Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = kill(self.target, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
        live().retain(|target| *target != self.target);
    }
}

/// Runs `command` to its end, or to ours after `limit`, and returns its status (`None` after
/// the limit) with all that it said. `watch` is called ten times a second, with what is new.
pub fn capture(
    command: &mut Command,
    limit: Duration,
    mut watch: impl FnMut(Option<&str>),
) -> Result<(Option<ExitStatus>, String)> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Guarded::spawn(command, Group::Own)?;
    let (sender, lines) = mpsc::channel();
    if let Some(pipe) = child.child.stdout.take() {
        send_lines(pipe, sender.clone());
    }
    if let Some(pipe) = child.child.stderr.take() {
        send_lines(pipe, sender);
    }
    let deadline = Instant::now() + limit;
    let mut said = String::new();
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                watch(Some(&line));
                said += &line;
                said.push('\n');
            }
            Err(RecvTimeoutError::Timeout) => watch(None),
            Err(RecvTimeoutError::Disconnected) => return Ok((Some(child.child.wait()?), said)),
        }
        if Instant::now() >= deadline {
            child.end();
            return Ok((None, said));
        }
    }
}

/// Sends the lines of `pipe` until it is closed.
fn send_lines(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}

fn live() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end_children_when_interrupted() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let handler = || {
            let live = live(); // until we exit: nothing starts any more
            // Returns how many there were left to signal.
            let signal_all = |signal: Option<Signal>| {
                let reached = live.iter().filter(|target| kill(**target, signal).is_ok());
                reached.count()
            };
            let mut left = signal_all(Some(Signal::SIGTERM));
            let deadline = Instant::now() + GRACE;
            while left > 0 && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
                left = signal_all(None);
            }
            signal_all(Some(Signal::SIGKILL));
            // Not `eprintln!`: a stderr that nobody reads must not make this panic.
            let _ = writeln!(io::stderr(), "xtask: told to end, with what it started");
            std::process::exit(130);
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            eprintln!("warning: Ctrl-C will not end what we start: {error}");
        }
    });
}
