//! The walk at a terminal: a person says how far.

use std::io::{self, BufRead, Write};

use super::walk::{Look, Walk};
use crate::cli::progress::pretty;
use crate::cli::style::Style;

const HELP: &str = "\
Enter  the next entry       n N  the next N entries     g N  to entry N
p      this entry whole     s    the state after it     q    quit";

enum Said {
    Next(usize),
    GoTo(usize),
    Print,
    State,
    Quit,
    Unknown,
}

/// Until the person quits; at the last entry they can still look around.
pub fn walk(
    mut walk: Walk,
    summary: &str,
    style: Style,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "{summary}\n{}", style.dim(HELP))?;
    let mut here = show(&mut walk, 1, style, out)?;
    loop {
        write!(out, "{} ", style.bold("replay>"))?;
        out.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match read(&line) {
            Said::Next(count) => here = show(&mut walk, count, style, out)?.or(here),
            Said::GoTo(entry) => here = go_to(&mut walk, entry, style, out)?.or(here),
            Said::Print => match &here {
                Some(look) => writeln!(out, "{}", pretty(&look.stored))?,
                None => writeln!(out, "the journal is empty")?,
            },
            Said::State => writeln!(out, "{}", walk.state().render())?,
            Said::Quit => return Ok(()),
            Said::Unknown => writeln!(out, "{HELP}")?,
        }
    }
}

fn read(line: &str) -> Said {
    let mut words = line.split_whitespace();
    let (command, number) = (words.next(), words.next().map(str::parse::<usize>));
    match (command, number) {
        (None, _) | (Some("n"), None) => Said::Next(1),
        (Some("n"), Some(Ok(count))) => Said::Next(count),
        (Some("g"), Some(Ok(entry))) if entry > 0 => Said::GoTo(entry),
        (Some("p"), None) => Said::Print,
        (Some("s"), None) => Said::State,
        (Some("q"), None) => Said::Quit,
        _ => Said::Unknown,
    }
}

/// Passes `count` entries, each with what it changes; the last is where the person is then.
fn show(walk: &mut Walk, count: usize, style: Style, out: &mut impl Write) -> io::Result<Option<Look>> {
    let mut last = None;
    for look in walk.by_ref().take(count) {
        writeln!(out, "{}", look.render(style))?;
        last = Some(look);
    }
    if last.is_none() {
        writeln!(out, "this is the end of the journal; `g N` goes back")?;
    }
    Ok(last)
}

/// There and back alike: the state is folded anew.
fn go_to(walk: &mut Walk, entry: usize, style: Style, out: &mut impl Write) -> io::Result<Option<Look>> {
    if entry > walk.len() {
        writeln!(out, "the journal has {} entries", walk.len())?;
        return Ok(None);
    }
    walk.rewind();
    let look = walk.nth(entry - 1);
    if let Some(look) = &look {
        writeln!(out, "{}", look.render(style))?;
    }
    Ok(look)
}
