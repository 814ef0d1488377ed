//! The hypervisor's log: defmt frames from a channel that no guest can write to.

use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Locations, Table};
use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
};

const MALFORMED: &str = "malformed log frame; is the ELF file the one that runs?";

/// A decoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How bad it is; `None` for `defmt::println!`.
    pub level: Option<Level>,
    /// When, if the hypervisor tells.
    pub timestamp: Option<String>,
    /// What happened.
    pub message: String,
    /// File and line of the source, if the ELF file tells.
    pub location: Option<String>,
}

/// How bad a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// What a developer of the hypervisor asks for.
    Debug,
    /// What a user wants to know.
    Info,
    /// Odd, and survived.
    Warn,
    /// The hypervisor's verdict: this run failed.
    Error,
}

/// What an ELF file tells about its frames.
pub struct Decoder {
    table: Table,
    locations: Locations,
    root: PathBuf,
}

impl Decoder {
    /// Returns the decoder for an unstripped ELF file, or `None` if that logs nothing. Files under
    /// `root` are shown relative to it.
    pub fn new(elf: &Path, root: &Path) -> Result<Option<Self>> {
        let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
        let Some(table) = Table::parse(&bytes).context("unexpected .defmt section")? else {
            return Ok(None);
        };
        let locations = table
            .get_locations(&bytes)
            .context("unexpected debug information")?;
        Ok(Some(Self {
            table,
            locations,
            root: root.to_owned(),
        }))
    }

    /// Hands every frame of `stream` to `sink`, until the stream ends. What is no frame gives one
    /// warning; an encoding that marks where frames start goes on with the next.
    pub fn decode(&self, mut stream: impl Read, mut sink: impl FnMut(Line)) {
        let mut frames = self.table.new_stream_decoder();
        let mut buffer = [0; 4096];
        let (mut warned, mut lost) = (false, false);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            frames.received(&buffer[..count]);
            while !lost {
                match frames.decode() {
                    Ok(frame) => sink(self.line(&frame)),
                    Err(DecodeError::UnexpectedEof) => break,
                    Err(DecodeError::Malformed) => {
                        if !warned {
                            sink(Line::warning(MALFORMED));
                        }
                        warned = true;
                        lost = !self.table.encoding().can_recover();
                    }
                }
            }
        }
    }

    fn line(&self, frame: &defmt_decoder::Frame<'_>) -> Line {
        let location = self.locations.get(&frame.index()).map(|found| {
            let file = found.file.strip_prefix(&self.root).unwrap_or(&found.file);
            format!("{}:{}", file.display(), found.line)
        });
        Line {
            level: frame.level().and_then(|level| Level::named(level.as_str())),
            timestamp: frame
                .display_timestamp()
                .map(|timestamp| timestamp.to_string()),
            message: frame.display_message().to_string(),
            location,
        }
    }
}

impl Level {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => return None,
        })
    }

    fn name_and_colour(self) -> (&'static str, u8) {
        match self {
            Self::Trace => ("TRACE", 90),
            Self::Debug => ("DEBUG", 34),
            Self::Info => ("INFO", 32),
            Self::Warn => ("WARN", 33),
            Self::Error => ("ERROR", 31),
        }
    }
}

impl Line {
    fn warning(message: &str) -> Self {
        let message = message.to_owned();
        Self {
            level: Some(Level::Warn),
            timestamp: None,
            message,
            location: None,
        }
    }

    /// Returns the line with its level in colour.
    pub fn coloured(&self) -> String {
        let (name, colour) = self.level.map_or(("", 0), Level::name_and_colour);
        let timestamp = self
            .timestamp
            .iter()
            .map(|at| format!("{at} "))
            .collect::<String>();
        let location = self
            .location
            .iter()
            .map(|at| format!("  \x1b[90m{at}\x1b[0m"));
        let location = location.collect::<String>();
        format!(
            "{timestamp}\x1b[{colour}m{name:<5}\x1b[0m {}{location}",
            self.message
        )
    }
}

/// The line without colour, and without the timestamp: alike in every run that does the same.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = self.level.map_or(("", 0), Level::name_and_colour);
        write!(f, "{name:<5} {}", self.message)?;
        self.location
            .iter()
            .try_for_each(|location| write!(f, "  {location}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// rzCOBS of a frame that is nothing but the index of its format string: 2, then 3.
    const UP: &[u8] = &[2, 0x7e, 0];
    const DOWN: &[u8] = &[3, 0x7e, 0];
    /// A frame that promises more bytes than it has.
    const BROKEN: &[u8] = &[0xff, 0];

    /// A symbol's address is the index of its format string.
    const SYMBOLS: [&str; 4] = [
        "_defmt_version_ = 4",
        "_defmt_encoding_ = rzcobs",
        r#"{"package":"p","tag":"defmt_info","data":"up","disambiguator":"1","crate_name":"p"}"#,
        r#"{"package":"p","tag":"defmt_error","data":"down","disambiguator":"2","crate_name":"p"}"#,
    ];

    /// An ELF64 file with a section and symbols in it, at 0, 1, 2… (System V gABI).
    fn elf(section: &str, symbols: &[&str]) -> tempfile::NamedTempFile {
        const HEADER_BYTES: u64 = 64;
        let mut names = vec![0];
        let mut name = |text: &str| {
            let offset = names.len() as u32;
            names.extend_from_slice(text.as_bytes());
            names.push(0);
            offset
        };
        let section = name(section);
        let mut table = vec![0; 24];
        for (address, symbol) in (0_u64..).zip(symbols) {
            table.extend(name(symbol).to_le_bytes());
            table.extend([0x11, 0, 1, 0]); // a global object in section 1
            table.extend([address, 1].map(u64::to_le_bytes).concat());
        }
        names.resize(names.len().next_multiple_of(8), 0); // what follows is read in place
        let sections = HEADER_BYTES + (names.len() + table.len()) as u64;

        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec(); // 64 bits, little-endian
        bytes.resize(16, 0);
        bytes.extend([2, 183, 1, 0].map(|half: u16| half.to_le_bytes()).concat()); // Arm, executable
        bytes.extend([0, 0, sections].map(u64::to_le_bytes).concat());
        bytes.extend([0; 4]);
        bytes.extend(
            [64, 0, 0, 64, 4, 2]
                .map(|half: u16| half.to_le_bytes())
                .concat(),
        );
        bytes.extend(&names);
        bytes.extend(&table);
        let (at, size) = (HEADER_BYTES, names.len() as u64);
        for (name, kind, offset, size, link, entry) in [
            (0, 0_u32, 0, 0, 0_u32, 0_u64),
            (section, 1, HEADER_BYTES, 1, 0, 0),
            (0, 3, at, size, 0, 0),
            (0, 2, at + size, table.len() as u64, 2, 24),
        ] {
            bytes.extend([name, kind].map(u32::to_le_bytes).concat());
            bytes.extend([0, 0, offset, size].map(u64::to_le_bytes).concat());
            bytes.extend([link, 1].map(u32::to_le_bytes).concat());
            bytes.extend([1, entry].map(u64::to_le_bytes).concat());
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        file
    }

    fn decoded(stream: &[&[u8]]) -> Vec<String> {
        let decoder = Decoder::new(elf(".defmt", &SYMBOLS).path(), Path::new("/"));
        let mut lines = Vec::new();
        let decoder = decoder.unwrap().unwrap();
        decoder.decode(stream.concat().as_slice(), |line| {
            lines.push(line.to_string())
        });
        lines
    }

    #[test]
    fn frames_are_decoded_with_their_level() {
        assert_eq!(decoded(&[UP, DOWN]), ["INFO  up", "ERROR down"]);
    }

    #[test]
    fn malformed_frames_give_one_warning_and_decoding_goes_on() {
        let warning = format!("WARN  {MALFORMED}");
        let lines = decoded(&[UP, BROKEN, BROKEN, DOWN, BROKEN]);
        assert_eq!(lines, ["INFO  up", &warning, "ERROR down"]);
    }

    #[test]
    fn program_without_log_statements_has_no_decoder() {
        let decoder = Decoder::new(elf(".text", &[]).path(), Path::new("/"));
        assert!(decoder.unwrap().is_none());
    }
}
