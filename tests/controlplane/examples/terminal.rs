//! A terminal to run a command at, and what is on its screen when the command has ended.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Rows that nothing here fills, so that nothing scrolls away.
const ROWS: u16 = 500;

/// What a person has in front of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// All of its text, what was typed included. A line that is wider than the screen stays one line.
    pub text: String,
    /// The exit code.
    pub code: Option<i32>,
}

/// Runs a command at a terminal of so many columns, and types `y` wherever it asks. Blocks until it ends.
pub fn run(mut command: Command, columns: u16) -> Screen {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let other_end = File::from(ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
    command.stdin(other_end.try_clone().unwrap()).stdout(other_end.try_clone().unwrap()).stderr(other_end);
    let mut child = command.spawn().unwrap();
    // The command's own handles would keep the terminal open.
    drop(command);

    let mut terminal = File::from(terminal);
    let mut parser = vt100::Parser::new(NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(columns).unwrap(), 0);
    let mut buffer = [0; 4096];
    let mut answered = 0;
    // Reading fails once the last process at the other end has gone.
    while let Ok(read @ 1..) = terminal.read(&mut buffer) {
        parser.process(&buffer[..read]);
        let asked = parser.screen().contents().matches("[y/N]").count();
        if asked > answered {
            answered = asked;
            terminal.write_all(b"y\n").unwrap();
        }
    }
    let code = child.wait().unwrap().code();
    Screen { text: parser.screen().contents(), code }
}
