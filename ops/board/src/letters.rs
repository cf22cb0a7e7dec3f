//! The letters of the human check and their picture: lines without any text, drawn from the seed and the attempt, so that
//! only somebody who looks at it can read it.

use std::f64::consts::PI;
use std::fmt::Write as _;

use crate::draw::Draw;

/// Strokes on a grid of four by six, corners as pairs of digits. Letters that are taken for one another are left out.
const GLYPHS: &[(char, &str)] = &[
    ('A', "06 20 46|14 34"),
    ('C', "41 30 10 01 05 16 36 45"),
    ('E', "40 00 06 46|03 33"),
    ('F', "40 00 06|03 33"),
    ('H', "00 06|40 46|03 43"),
    ('K', "00 06|40 03 46"),
    ('L', "00 06 46"),
    ('M', "06 00 23 40 46"),
    ('N', "06 00 46 40"),
    ('P', "06 00 30 41 42 33 03"),
    ('R', "06 00 30 41 42 33 03|23 46"),
    ('T', "00 40|20 26"),
    ('W', "00 16 22 36 40"),
    ('X', "00 46|40 06"),
    ('Y', "00 23 40|23 26"),
    ('Z', "00 40 06 46"),
    ('3', "01 10 30 41 42 33 13|33 44 45 36 16 05"),
    ('4', "36 30 04 44"),
    ('7', "00 40 16"),
];

/// Keeps the draws of checks apart from those of forms.
const STREAM: u32 = 0x1000_0000;
const ADVANCE: f64 = 50.0;
const UNIT: f64 = 8.0;
const HEIGHT: u32 = 96;

/// What one picture shows.
pub struct Letters {
    pub text: String,
    svg: String,
}

impl Letters {
    /// `attempt` counts the pictures that this visitor has answered wrongly.
    pub fn draw(seed: u32, attempt: u32, count: usize) -> Self {
        let mut draw = Draw::new(STREAM + (attempt % STREAM), seed);
        let drawn: Vec<(char, &str)> = (0..count).map(|_| draw.pick(GLYPHS)).collect();
        let svg = picture(&mut draw, &drawn);
        Self { text: drawn.iter().map(|(letter, _)| letter).collect(), svg }
    }

    /// As an image of its own or as a part of a page.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    pub fn is(&self, answer: &str) -> bool {
        let said = answer.chars().filter(|c| !c.is_whitespace());
        said.flat_map(char::to_uppercase).eq(self.text.chars())
    }
}

fn picture(draw: &mut Draw, drawn: &[(char, &str)]) -> String {
    let mut strokes = Vec::new();
    let mut left = 26.0;
    for (_, glyph) in drawn {
        let warp = Warp::draw(draw, left);
        strokes.extend(glyph.split('|').map(|stroke| warp.stroke(draw, stroke)));
        left += ADVANCE;
    }
    // Whoever reads the source finds no letter after the other.
    draw.shuffle(&mut strokes);
    let width = left + 4.0;
    let noise: String = (0..3).map(|_| noise(draw, width)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width:.0} {HEIGHT}\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#eef1f4\"></rect>\
         <path d=\"{}\" fill=\"none\" stroke=\"#2b3440\" stroke-width=\"4\" stroke-linecap=\"round\" \
         stroke-linejoin=\"round\"></path>\
         <path d=\"{noise}\" fill=\"none\" stroke=\"#7b8794\" stroke-width=\"1.5\"></path></svg>",
        strokes.concat()
    )
}

/// How one letter is bent.
struct Warp {
    left: f64,
    top: f64,
    scale: f64,
    angle: f64,
    wave: f64,
}

impl Warp {
    fn draw(draw: &mut Draw, left: f64) -> Self {
        Self {
            left: left + between(draw, -3.0, 3.0),
            top: between(draw, 15.0, 26.0),
            scale: UNIT * between(draw, 0.9, 1.15),
            angle: between(draw, -0.22, 0.22),
            wave: between(draw, 0.0, 2.0 * PI),
        }
    }

    fn stroke(&self, draw: &mut Draw, corners: &str) -> String {
        let mut path = String::new();
        for (index, corner) in corners.split(' ').enumerate() {
            let digits = corner.as_bytes();
            let across = f64::from(digits[0] - b'0') - 2.0 + between(draw, -0.2, 0.2);
            let down = f64::from(digits[1] - b'0') - 3.0 + between(draw, -0.2, 0.2);
            let (sin, cos) = self.angle.sin_cos();
            let bent = 2.5 * (down * 0.8 + self.wave).sin();
            let x = self.left + bent + self.scale * (across * cos - down * sin + 2.0);
            let y = self.top + self.scale * (across * sin + down * cos + 3.0);
            let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        path
    }
}

fn noise(draw: &mut Draw, width: f64) -> String {
    let [from, over, to] = [0, 1, 2].map(|_| between(draw, 10.0, f64::from(HEIGHT) - 10.0));
    format!("M0 {from:.1}Q{:.1} {over:.1} {width:.1} {to:.1}", width / 2.0)
}

fn between(draw: &mut Draw, low: f64, high: f64) -> f64 {
    low + (high - low) * f64::from(draw.number(0..1_001)) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_whatever_its_case_and_spaces() {
        let letters = Letters::draw(7, 0, 5);
        assert_eq!(letters.text.chars().count(), 5);
        assert!(letters.is(&format!(" {} ", letters.text.to_lowercase())));
        assert!(!letters.is(&letters.text[1..]));
        assert!(!letters.is(""));
    }

    #[test]
    fn every_attempt_and_seed_has_its_own_picture() {
        let pictures: std::collections::BTreeSet<String> =
            (0..20).flat_map(|seed| (0..5).map(move |attempt| Letters::draw(seed, attempt, 6).svg)).collect();
        assert_eq!(pictures.len(), 100);
        assert_eq!(Letters::draw(3, 2, 5).svg, Letters::draw(3, 2, 5).svg);
    }

    #[test]
    fn a_picture_has_no_text_and_stays_within_its_frame() {
        for seed in 0..200 {
            let letters = Letters::draw(seed, 0, 6);
            assert!(!letters.svg.contains("text") && !letters.svg.contains(&letters.text));
            let (width, _) = letters.svg.split_once("width=\"").expect("a width").1.split_once('"').expect("a number");
            let width: f64 = width.parse().expect("a number");
            let path = letters.svg.split("d=\"").nth(1).expect("the letters").split('"').next().expect("a path");
            for pair in path.split(['M', 'L']).filter(|pair| !pair.is_empty()) {
                let (x, y) = pair.split_once(' ').expect("a point");
                let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
                assert!((0.0..=width).contains(&x) && (0.0..=f64::from(HEIGHT)).contains(&y), "{seed}: {x} {y}");
            }
        }
    }
}
