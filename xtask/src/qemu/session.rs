//! One run of QEMU, from its start to its end.

use super::{
    log::{Decoder, Line},
    machine::{Machine, Uart},
    script::Script,
    transcript::Transcript,
};
use crate::process::{Group, Guarded};
use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::Path,
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How many lines tell what a run was at.
const LAST_LINES: usize = 20;
/// How often we look whether QEMU ended.
const POLL: Duration = Duration::from_millis(50);
/// How often we look whether the log grew: lines of log and console come in their order.
const LOG_POLL: Duration = Duration::from_millis(2);

/// What to run, and for how long.
pub struct Session<'a> {
    /// The emulator.
    pub qemu: &'a Path,
    /// What it emulates.
    pub machine: &'a Machine,
    /// What source files are named relative to.
    pub root: &'a Path,
    /// When to give up.
    pub timeout: Option<Duration>,
}

/// Who is at the machine's console.
pub enum Console<'a, 'b> {
    /// The user; QEMU has the terminal.
    Terminal,
    /// A pipe that we copy to our own output.
    Copied,
    /// A test.
    Scripted(&'a mut Script<'b>),
}

/// How a run ended, and what it showed.
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// What it showed.
    pub transcript: Transcript,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Status(ExitStatus),
    /// By us, after that long.
    TimedOut(Duration),
    /// By us, as it showed what it never should.
    Stopped(String),
}

/// What a run shows.
enum Event {
    Console(Vec<u8>),
    Emulator(Vec<u8>),
    Log(Line),
}

impl Outcome {
    /// Returns an error unless QEMU's status is 0 and the hypervisor logged no error.
    pub fn verdict(&self) -> Result<()> {
        match &self.ending {
            Ending::Status(status) if !status.success() => bail!("QEMU ended with {status}"),
            Ending::Status(_) => {}
            Ending::TimedOut(after) => bail!(
                "timed out after {} s; last lines:\n{}",
                after.as_secs(),
                self.last_lines()
            ),
            Ending::Stopped(shown) => {
                bail!("`{shown}` was shown; last lines:\n{}", self.last_lines())
            }
        }
        match self.transcript.errors().next() {
            None => Ok(()),
            Some(line) => bail!("the hypervisor reported a failure: {}", line.message),
        }
    }

    /// Returns what the run showed last.
    pub fn last_lines(&self) -> String {
        self.transcript.last_lines(LAST_LINES)
    }
}

/// Runs QEMU until it ends, or until we end it.
pub fn run(session: &Session<'_>, mut console: Console<'_, '_>) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join("log");
    File::create(&path).context("cannot make the log's file")?;
    let log = File::open(&path).context("cannot read the log's file")?;
    let decoder = Decoder::new(&session.machine.elf, session.root)?;

    let at_terminal = matches!(console, Console::Terminal);
    let uart = if at_terminal {
        Uart::Terminal
    } else {
        Uart::Pipes
    };
    let mut command = Command::new(session.qemu);
    command.args(session.machine.arguments(uart, &path));
    if !at_terminal {
        command
            .stdin(stdin_for(&console))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }
    let group = if at_terminal {
        Group::Shared
    } else {
        Group::Own
    };
    let mut qemu = Guarded::spawn(&mut command, group)?;

    let (sender, events) = mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let mut typist = qemu.child().stdin.take();
    let readers = [
        qemu.child()
            .stdout
            .take()
            .map(|pipe| copy(pipe, sender.clone(), Event::Console)),
        qemu.child()
            .stderr
            .take()
            .map(|pipe| copy(pipe, sender.clone(), Event::Emulator)),
        decoder.map(|decoder| receive_log(log, decoder, Arc::clone(&ended), sender)),
    ];

    let start = Instant::now();
    let mut transcript = Transcript::default();
    let mut ending = None;
    loop {
        match events.recv_timeout(POLL) {
            // What QEMU says once we end it is about that.
            Ok(Event::Emulator(_)) if ending.is_some() => {}
            Ok(event) => {
                take(event, &mut transcript, &console);
                if let Console::Scripted(script) = &mut console {
                    follow(script, &transcript, typist.as_mut());
                    if let (None, Some(text)) = (&ending, script.forbidden(&transcript)) {
                        qemu.end();
                        ending = Some(Ending::Stopped(text));
                    }
                }
            }
            // Every reader came to its end, and QEMU with them.
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ending.is_none() {
            if let Some(status) = qemu.try_wait()? {
                ending = Some(Ending::Status(status));
            } else if let Some(limit) = session.timeout.filter(|limit| start.elapsed() >= *limit) {
                qemu.end();
                ending = Some(Ending::TimedOut(limit));
            }
        }
        ended.store(ending.is_some(), Ordering::Release);
    }
    for reader in readers.into_iter().flatten() {
        let _ = reader.join();
    }
    let ending = match ending {
        Some(ending) => ending,
        None => Ending::Status(qemu.wait()?),
    };
    Ok(Outcome { ending, transcript })
}

/// Returns what QEMU reads when it does not have the terminal.
fn stdin_for(console: &Console<'_, '_>) -> Stdio {
    match console {
        Console::Scripted(_) => Stdio::piped(),
        // Outside the terminal's process group, reading from it would stop QEMU.
        _ if io::stdin().is_terminal() => Stdio::null(),
        _ => Stdio::inherit(),
    }
}

/// Shows an event to the user, unless a test is watching, and keeps it.
fn take(event: Event, transcript: &mut Transcript, console: &Console<'_, '_>) {
    let quiet = matches!(console, Console::Scripted(_));
    match event {
        Event::Console(bytes) => {
            if !quiet {
                show(&mut io::stdout(), &bytes);
            }
            transcript.console(&bytes);
        }
        Event::Emulator(bytes) => {
            if !quiet {
                show(&mut io::stderr(), &bytes);
            }
            transcript.emulator(&bytes);
        }
        Event::Log(line) => {
            if !quiet {
                let colour = io::stderr().is_terminal();
                let text = if colour {
                    line.coloured()
                } else {
                    line.to_string()
                };
                show(&mut io::stderr(), format!("{text}\n").as_bytes());
            }
            transcript.log(line);
        }
    }
}

fn show(to: &mut impl Write, bytes: &[u8]) {
    // A reader that went away (`| head`) is no reason to end the machine.
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}

fn follow(script: &mut Script<'_>, transcript: &Transcript, mut typist: Option<&mut ChildStdin>) {
    while let Some(line) = script.advance(transcript) {
        if let Some(pipe) = &mut typist {
            // When QEMU is gone, its status says more than a broken pipe.
            let _ = pipe.write_all(line.as_bytes());
        }
    }
}

fn copy(
    mut pipe: impl Read + Send + 'static,
    events: Sender<Event>,
    kind: fn(Vec<u8>) -> Event,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            if events.send(kind(buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    })
}

fn receive_log(
    file: File,
    decoder: Decoder,
    ended: Arc<AtomicBool>,
    events: Sender<Event>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        decoder.decode(Growing { file, ended }, |line| {
            // Sending fails only when nobody waits for the run any more.
            let _ = events.send(Event::Log(line));
        });
    })
}

/// A file that QEMU writes while we read. A socket or a pipe would lose what we do not take at
/// once: an emergency write is not tried again.
struct Growing {
    file: File,
    /// Whether QEMU is gone, so that the end of the file is the end.
    ended: Arc<AtomicBool>,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Before the read: what was written until then is read.
            let ended = self.ended.load(Ordering::Acquire);
            match self.file.read(buffer)? {
                0 if !ended => thread::sleep(LOG_POLL),
                count => return Ok(count),
            }
        }
    }
}
