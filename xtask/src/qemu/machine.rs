//! QEMU's command line.

use super::guest::Guest;
use crate::example::CpuModel;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The machine that an example runs on.
pub struct Machine {
    /// CPU model.
    pub cpu: CpuModel,
    /// Number of CPUs.
    pub smp: u32,
    /// RAM.
    pub memory: Memory,
    /// The hypervisor.
    pub elf: PathBuf,
    /// What it is given to run, if it does not bring that.
    pub guest: Option<Guest>,
    /// Guest time counts instructions.
    pub icount: bool,
    /// Where a debugger attaches; the machine waits for it.
    pub gdb_port: Option<u16>,
    /// What comes last on the command line.
    pub extra: Vec<String>,
}

/// Who sees the machine's first UART.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uart {
    /// The user at a terminal, with QEMU's monitor: Ctrl-A X ends QEMU.
    Terminal,
    /// Our pipes.
    Pipes,
}

/// An amount of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(u64);

impl Memory {
    /// First address of RAM on `virt`.
    pub const BASE: u64 = 0x4000_0000;
    const LEAST_MIB: u64 = 128;
    const MOST_MIB: u64 = 255 << 10; // all that fits between RAM's base and the high devices

    /// Returns the first address after RAM.
    pub fn end(self) -> u64 {
        Self::BASE + self.0
    }

    /// Returns the size in MiB.
    pub fn mib(self) -> u64 {
        self.0 >> 20
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self(1 << 30)
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let scale = match &text[digits.len()..] {
            "M" | "MiB" => 1,
            "G" | "GiB" => 1 << 10,
            _ => return Err("give a number with M or G, such as 512M or 2G".into()),
        };
        let number: u64 = digits
            .parse()
            .map_err(|_| format!("`{digits}` is not a number"))?;
        let mib = number.saturating_mul(scale);
        if !(Self::LEAST_MIB..=Self::MOST_MIB).contains(&mib) {
            let (least, most) = (Self::LEAST_MIB, Self::MOST_MIB >> 10);
            return Err(format!("RAM is from {least}M to {most}G"));
        }
        Ok(Self(mib << 20))
    }
}

impl Machine {
    /// Returns QEMU's arguments; log frames go to the file `log`.
    pub fn arguments(&self, uart: Uart, log: &Path) -> Vec<OsString> {
        let mut list = Arguments::default();
        list.pair("-machine", "virt,virtualization=on,gic-version=3");
        list.pair("-cpu", self.cpu.argument());
        list.pair("-smp", self.smp.to_string());
        list.pair("-m", format!("{}M", self.memory.mib()));
        list.pair("-display", "none");
        list.pair("-nic", "none");
        match uart {
            Uart::Terminal => list.pair("-serial", "mon:stdio"),
            Uart::Pipes => {
                list.pair("-serial", "stdio");
                list.pair("-monitor", "none");
            }
        }
        list.pair("-chardev", option("file,id=vcpulog,path=", log));
        // The last of the 32: its registers are at 0x0a00_3e00, and no guest is shown it.
        list.pair("-device", "virtio-serial-device,bus=virtio-mmio-bus.31");
        list.pair("-device", "virtconsole,chardev=vcpulog");
        list.pair("-kernel", &self.elf);
        if let Some(guest) = &self.guest {
            list.guest(guest);
        }
        if self.icount {
            list.pair("-icount", "shift=0,sleep=off");
        }
        if let Some(port) = self.gdb_port {
            list.0.push("-S".into());
            list.pair("-gdb", format!("tcp:127.0.0.1:{port}"));
        }
        list.0.extend(self.extra.iter().map(OsString::from));
        list.0
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }

    fn guest(&mut self, guest: &Guest) {
        let mut kernel = option(
            &format!("guest-loader,addr={:#x},kernel=", Guest::KERNEL_ADDRESS),
            &guest.kernel,
        );
        kernel.push(option(",bootargs=", &guest.append));
        self.pair("-device", kernel);
        for other in &guest.others {
            let head = format!("guest-loader,addr={:#x},initrd=", other.address);
            self.pair("-device", option(&head, &other.path));
        }
    }
}

/// Returns `head` and a value, spelled so that a comma in the value does not end it.
fn option(head: &str, value: impl AsRef<Path>) -> OsString {
    let mut whole = OsString::from(head);
    for (index, part) in value
        .as_ref()
        .as_os_str()
        .to_string_lossy()
        .split(',')
        .enumerate()
    {
        if index > 0 {
            whole.push(",,");
        }
        whole.push(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::guest::Placed;

    fn machine() -> Machine {
        Machine {
            cpu: CpuModel::CortexA53,
            smp: 2,
            memory: Memory::default(),
            elf: "hello".into(),
            guest: None,
            icount: false,
            gdb_port: None,
            extra: Vec::new(),
        }
    }

    fn line(machine: &Machine, uart: Uart) -> String {
        let arguments = machine.arguments(uart, Path::new("/tmp/log"));
        let arguments = arguments.iter().map(|argument| argument.to_str().unwrap());
        arguments.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn memory_is_given_with_a_unit() {
        assert_eq!("1G".parse(), Ok(Memory::default()));
        assert_eq!("512M".parse::<Memory>().unwrap().mib(), 512);
        for wrong in [
            "",
            "G",
            "1",
            "1K",
            "1.5G",
            "-1G",
            "64M",
            "256G",
            "99999999999999999999G",
        ] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn plain_machine_starts_at_el2_with_log_and_uart() {
        let expected = "-machine virt,virtualization=on,gic-version=3 -cpu cortex-a53 -smp 2 -m 1024M \
            -display none -nic none -serial stdio -monitor none \
            -chardev file,id=vcpulog,path=/tmp/log \
            -device virtio-serial-device,bus=virtio-mmio-bus.31 -device virtconsole,chardev=vcpulog \
            -kernel hello";
        assert_eq!(line(&machine(), Uart::Pipes), expected);
    }

    #[test]
    fn user_at_a_terminal_has_the_monitor() {
        let line = line(&machine(), Uart::Terminal);
        assert!(
            line.contains("-serial mon:stdio") && !line.contains("-monitor"),
            "{line}"
        );
    }

    #[test]
    fn options_come_before_the_users_own() {
        let machine = Machine {
            cpu: CpuModel::Max,
            icount: true,
            gdb_port: Some(1234),
            extra: vec!["-machine".into(), "virtualization=off".into()],
            ..machine()
        };
        let line = line(&machine, Uart::Pipes);
        assert!(line.contains("-cpu max,pauth-impdef=on "), "{line}");
        let end =
            "-icount shift=0,sleep=off -S -gdb tcp:127.0.0.1:1234 -machine virtualization=off";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn comma_in_a_guest_value_stays_in_it() {
        let guest = Guest {
            kernel: "/a,b/Image".into(),
            others: vec![Placed {
                path: "/i,j".into(),
                address: 0x4600_0000,
            }],
            append: "console=ttyAMA0,115200 quiet".into(),
        };
        let line = line(
            &Machine {
                guest: Some(guest),
                ..machine()
            },
            Uart::Pipes,
        );
        let end = "-device guest-loader,addr=0x44200000,kernel=/a,,b/Image,\
            bootargs=console=ttyAMA0,,115200 quiet \
            -device guest-loader,addr=0x46000000,initrd=/i,,j";
        assert!(line.ends_with(end), "{line}");
    }
}
