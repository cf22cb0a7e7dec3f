//! What a browser showed while a step worked in it, as one moving picture: an animated PNG
//! (<https://www.w3.org/TR/png-3/#apng-frame-based-animation>), which every browser plays and whose frames are the driver's own pictures.
//!
//! Asked for by the application (`record`). Two frames a second at most, up to a size; never worth failing for.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::evidence::store;
use crate::browser::{BrowserAgent as _, WebDriverAgent};
use crate::runtime::{StepContext, StepError};

/// Between two frames, at least: beside the work itself, each picture costs the browser some 50 ms.
const FRAME_EVERY: Duration = Duration::from_millis(500);
/// A recording has at most so many bytes; what comes later is not in it. The engine takes files of 20 MiB.
const RECORDING_BYTES_MAX: usize = 20_000_000;
/// Of a chunk beside its data: length, type, checksum.
const CHUNK_BYTES: usize = 12;
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
const CONTROL_BYTES: usize = 26;

/// Does the work and keeps what the browser showed meanwhile.
pub(super) async fn recorded<T>(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let (mut film, begun) = (Film::default(), Instant::now());
    let filming = async {
        while !film.is_full {
            if let Ok(png) = agent.take_screenshot().await {
                film.add(&png, begun.elapsed());
            }
            sleep(FRAME_EVERY).await;
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = filming => unreachable!("it is filmed for as long as the work goes on"),
    };
    if let Some(film) = film.develop(begun.elapsed()) {
        store(ctx, &format!("{}-recording.png", ctx.step_name()), "image/png", film).await;
    }
    ended
}

/// Pictures of one size, each with the time from which it was shown.
#[derive(Default)]
struct Film {
    header: Vec<u8>,
    frames: Vec<Frame>,
    bytes: usize,
    is_full: bool,
}

struct Frame {
    shown_at: Duration,
    /// The compressed picture, in the pieces in which it came.
    data: Vec<Vec<u8>>,
}

impl Film {
    /// One that looks as the last one did lengthens that one; one of another size than the first is left out.
    fn add(&mut self, png: &[u8], shown_at: Duration) {
        let Some(chunks) = chunks(png) else { return };
        let of = |wanted: &[u8; 4]| -> Vec<Vec<u8>> {
            chunks.iter().filter(|(name, _)| name == wanted).map(|(_, data)| data.to_vec()).collect()
        };
        let (Some(header), data) = (of(b"IHDR").pop(), of(b"IDAT")) else { return };
        if self.frames.is_empty() {
            self.header = header;
        } else if self.header != header || self.frames.last().is_some_and(|last| last.data == data) {
            return;
        }
        let bytes: usize =
            data.iter().map(|piece| piece.len() + 4 + CHUNK_BYTES).sum::<usize>() + CONTROL_BYTES + CHUNK_BYTES;
        if self.bytes + bytes > RECORDING_BYTES_MAX - 1024 {
            self.is_full = true;
            return;
        }
        self.bytes += bytes;
        self.frames.push(Frame { shown_at, data });
    }

    /// `None`: nothing was seen.
    fn develop(self, ended_at: Duration) -> Option<Vec<u8>> {
        let size = self.header.get(..8)?.to_vec();
        let mut film = SIGNATURE.to_vec();
        write(&mut film, *b"IHDR", &self.header);
        let count = u32::try_from(self.frames.len()).ok()?;
        // Played once.
        write(&mut film, *b"acTL", &[count.to_be_bytes(), 1_u32.to_be_bytes()].concat());
        let mut number = 0_u32;
        let mut next = || {
            number += 1;
            (number - 1).to_be_bytes()
        };
        let ends = self.frames.iter().skip(1).map(|frame| frame.shown_at).chain([ended_at]).collect::<Vec<_>>();
        for (at, (frame, end)) in self.frames.iter().zip(ends).enumerate() {
            let hundredths = end.saturating_sub(frame.shown_at).as_millis() / 10;
            let delay = u16::try_from(hundredths).unwrap_or(u16::MAX).max(1);
            // At the corner, for so many hundredths of a second, in place of what was there.
            let place = [0; 8];
            let control = [&next()[..], &size, &place, &delay.to_be_bytes(), &100_u16.to_be_bytes(), &[0, 0]].concat();
            write(&mut film, *b"fcTL", &control);
            for piece in &frame.data {
                if at == 0 {
                    write(&mut film, *b"IDAT", piece);
                } else {
                    write(&mut film, *b"fdAT", &[&next()[..], piece].concat());
                }
            }
        }
        write(&mut film, *b"IEND", &[]);
        Some(film)
    }
}

/// The parts of a PNG; `None` where it is none.
fn chunks(png: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let mut rest = png.strip_prefix(&SIGNATURE)?;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let name = rest.get(4..8)?.try_into().ok()?;
        chunks.push((name, rest.get(8..)?.get(..length)?));
        rest = rest.get(length + CHUNK_BYTES..)?;
    }
    Some(chunks)
}

fn write(png: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let Ok(length) = u32::try_from(data.len()) else { return };
    png.extend(length.to_be_bytes());
    let from = png.len();
    png.extend(name);
    png.extend(data);
    let sum = checksum(&png[from..]);
    png.extend(sum.to_be_bytes());
}

/// CRC-32 as PNG wants it (ISO 3309).
fn checksum(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = table();
    !bytes.iter().fold(u32::MAX, |sum, byte| TABLE[(sum as u8 ^ byte) as usize] ^ (sum >> 8))
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of this size with this in it; nobody decompresses it.
    fn picture(width: u32, data: &[u8]) -> Vec<u8> {
        let mut png = SIGNATURE.to_vec();
        write(&mut png, *b"IHDR", &[&width.to_be_bytes()[..], &7_u32.to_be_bytes(), &[8, 6, 0, 0, 0]].concat());
        write(&mut png, *b"IDAT", data);
        write(&mut png, *b"IEND", &[]);
        png
    }

    fn at(tenths: u64) -> Duration {
        Duration::from_millis(tenths * 100)
    }

    #[test]
    fn a_checksum_is_the_one_of_the_standard() {
        assert_eq!(checksum(b"IEND"), 0xae42_6082);
    }

    #[test]
    fn a_film_has_each_picture_once_for_as_long_as_it_was_shown() {
        let mut film = Film::default();
        for (png, tenths) in [
            (picture(9, b"one"), 0),
            (picture(9, b"one"), 5),
            (picture(8, b"of another size"), 10),
            (picture(9, b"two"), 15),
            (b"no picture".to_vec(), 20),
        ] {
            film.add(&png, at(tenths));
        }
        let film = film.develop(at(35)).expect("a film");
        let parts = chunks(&film).expect("a PNG");
        let names: Vec<&str> = parts.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect();
        assert_eq!(names, ["IHDR", "acTL", "fcTL", "IDAT", "fcTL", "fdAT", "IEND"]);
        assert_eq!(parts[1].1, [0, 0, 0, 2, 0, 0, 0, 1]);
        let delays: Vec<&[u8]> = [2, 4].map(|part: usize| &parts[part].1[20..24]).to_vec();
        assert_eq!(delays, [[0, 150, 0, 100], [0, 200, 0, 100]]);
        assert_eq!((&parts[3].1, &parts[5].1), (&&b"one"[..], &&b"\0\0\0\x02two"[..]));
    }

    #[test]
    fn a_film_has_a_bound() {
        let mut film = Film::default();
        for byte in 0..4 {
            film.add(&picture(9, &vec![byte; 6_000_000]), at(u64::from(byte) * 5));
        }
        assert!(film.is_full);
        let film = film.develop(at(20)).expect("a film");
        assert!(film.len() <= RECORDING_BYTES_MAX, "{}", film.len());
        assert_eq!(chunks(&film).expect("a PNG").iter().filter(|(name, _)| name == b"fcTL").count(), 3);
    }

    #[test]
    fn nothing_seen_is_no_film() {
        assert!(Film::default().develop(at(1)).is_none());
    }
}
