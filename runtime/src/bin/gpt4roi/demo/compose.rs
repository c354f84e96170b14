//! A fresh scene: a few drawings by chance on a plain background. Same seed, same scene.

use super::chance::Chance;
use super::sprites::{Sprite, Sprites};
use gpt4roi::{PixelBox, RgbImage8};
use image::imageops::{FilterType, fast_blur, resize};
use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::f64::consts::TAU;
use std::ops::Range;

/// Drawings of a scene.
pub(crate) const OBJECTS: usize = 4;
/// Sides of a scene in pixels, as of those that come with the demo model.
const SIDE: u32 = 896;
/// Longest side of a drawing, as a share of the scene's.
const LONGEST: Range<f64> = 0.16..0.40;
/// Where a scene and its halves are cut in two: so that the largest drawing fits in each part.
const CUT: Range<f64> = 0.43..0.57;
/// Pixels between a drawing and the border of its part.
const MARGIN: f64 = 8.0;
/// Softness, offset to the right and down, darkness and colour of shadows.
const SHADOW: (f32, [u32; 2], f32, [f32; 3]) = (12.0, [6, 12], 0.45, [20.0, 20.0, 30.0]);

/// A composed scene.
pub(crate) struct Composed {
    pub(crate) image: RgbImage8,
    pub(crate) boxes: Vec<PixelBox>,
    pub(crate) labels: Vec<String>,
}

/// A drawing at its place.
struct Placed {
    x: u32,
    y: u32,
    pixels: RgbaImage,
}

/// Composes the scene of a seed.
pub(crate) fn compose(sprites: &Sprites, seed: u32) -> anyhow::Result<Composed> {
    let mut chance = Chance::new(seed.into());
    let arranged = arrange(sprites.list(), &mut chance);
    let draw = |&(sprite, [x, y, w, h]): &(&Sprite, [u32; 4])| Placed {
        x,
        y,
        pixels: resize(&sprites.premultiplied(sprite), w, h, FilterType::CatmullRom),
    };
    let placed: Vec<Placed> = arranged.iter().map(draw).collect();
    let mut canvas = backdrop(&mut chance);
    shade(&mut canvas, &placed);
    placed.iter().for_each(|p| p.draw(&mut canvas));
    Ok(Composed {
        image: RgbImage8::new(SIDE, SIDE, canvas.into_raw()).map_err(gpt4roi::Error::from)?,
        boxes: placed.iter().map(Placed::pixel_box).collect(),
        labels: arranged.iter().map(|(sprite, _)| sprite.name.clone()).collect(),
    })
}

/// Drawings of different things, and where they go: left, top, width, height in pixels.
fn arrange<'a>(all: &'a [Sprite], chance: &mut Chance) -> Vec<(&'a Sprite, [u32; 4])> {
    let chosen = distinct(all, chance);
    let mut parts = parts(chance);
    chance.shuffle(&mut parts);
    chosen.into_iter().zip(parts).map(|(s, part)| (s, place(s, part, chance))).collect()
}

/// Drawings of different things.
fn distinct<'a>(all: &'a [Sprite], chance: &mut Chance) -> Vec<&'a Sprite> {
    let mut order: Vec<&Sprite> = all.iter().collect();
    chance.shuffle(&mut order);
    let mut chosen: Vec<&Sprite> = Vec::new();
    for sprite in order {
        if chosen.len() < OBJECTS && chosen.iter().all(|c| c.name != sprite.name) {
            chosen.push(sprite);
        }
    }
    chosen
}

/// Four parts of the scene that do not overlap: left, top, right, bottom in pixels.
fn parts(chance: &mut Chance) -> [[f64; 4]; OBJECTS] {
    let cut = [0, 1, 2].map(|_| chance.between(CUT) * f64::from(SIDE));
    let end = f64::from(SIDE);
    let parts = [
        [0.0, 0.0, cut[0], cut[1]],
        [0.0, cut[1], cut[0], end],
        [cut[0], 0.0, end, cut[2]],
        [cut[0], cut[2], end, end],
    ];
    // Either two columns cut at different heights, or two rows cut at different places.
    match chance.below(2) {
        0 => parts,
        _ => parts.map(|[x1, y1, x2, y2]| [y1, x1, y2, x2]),
    }
}

/// A drawing's place in its part.
fn place(sprite: &Sprite, part: [f64; 4], chance: &mut Chance) -> [u32; 4] {
    let longest = chance.between(LONGEST) * f64::from(SIDE);
    let scale = longest / f64::from(sprite.w.max(sprite.h));
    let [w, h] = [sprite.w, sprite.h].map(|side| (f64::from(side) * scale).round().max(1.0));
    let mut within = |from: f64, to: f64| chance.between(from + MARGIN..to - MARGIN).round();
    let [x, y] = [within(part[0], part[2] - w), within(part[1], part[3] - h)];
    [x, y, w, h].map(|v| v as u32)
}

/// Two soft bands, sky and ground, with a few faint clouds.
fn backdrop(chance: &mut Chance) -> RgbImage {
    let horizon = chance.between(0.35..0.65);
    let (sky, ground) = (tint(chance, 205.0), tint(chance, 140.0));
    let grain = GrayImage::from_fn(14, 14, |_, _| Luma([chance.below(256) as u8]));
    let clouds = resize(&grain, SIDE, SIDE, FilterType::Gaussian);
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let from_horizon = f64::from(y) / f64::from(SIDE) - horizon;
        let below = 1.0 / (1.0 + (-60.0 * from_horizon).exp());
        let light = 1.06 - 0.16 * from_horizon.abs();
        let cloud = (f64::from(clouds.get_pixel(x, y)[0]) - 127.0) * 0.06;
        let colour = |i: usize| (sky[i] * (1.0 - below) + ground[i] * below) * light + cloud;
        Rgb([0, 1, 2].map(|i| colour(i).round() as u8))
    })
}

/// A colour of any hue, not a strong one.
fn tint(chance: &mut Chance, middle: f64) -> [f64; 3] {
    let hue = chance.between(0.0..1.0);
    [0.0, 1.0, 2.0].map(|i| middle + 36.0 * (TAU * (hue - i / 3.0)).cos())
}

/// Draws the shadows of everything, so that none falls on a drawing.
fn shade(canvas: &mut RgbImage, placed: &[Placed]) {
    let (softness, [right, down], dark, colour) = SHADOW;
    let mut mask = GrayImage::new(SIDE, SIDE);
    for Placed { x, y, pixels } in placed {
        for (px, py, Rgba([.., alpha])) in pixels.enumerate_pixels() {
            // Cut off where it leaves the scene.
            if let Some(Luma([m])) = mask.get_pixel_mut_checked(x + px + right, y + py + down) {
                *m = (*m).max((f32::from(*alpha) * dark) as u8);
            }
        }
    }
    for (under, Luma([m])) in canvas.pixels_mut().zip(fast_blur(&mask, softness).pixels()) {
        let share = f32::from(*m) / 255.0;
        under.0 = [0, 1, 2].map(|i| over(colour[i] * share, share, under[i]));
    }
}

/// A colour, multiplied by its share already, over another one.
fn over(colour: f32, share: f32, under: u8) -> u8 {
    (colour + f32::from(under) * (1.0 - share)).round() as u8
}

impl Placed {
    fn draw(&self, canvas: &mut RgbImage) {
        for (px, py, Rgba([r, g, b, alpha])) in self.pixels.enumerate_pixels() {
            let Rgb(under) = canvas.get_pixel_mut(self.x + px, self.y + py);
            for (under, colour) in under.iter_mut().zip([r, g, b]) {
                *under = over(f32::from(*colour), f32::from(*alpha) / 255.0, *under);
            }
        }
    }

    fn pixel_box(&self) -> PixelBox {
        let (w, h) = self.pixels.dimensions();
        let [x1, y1, x2, y2] = [self.x, self.y, self.x + w, self.y + h].map(f64::from);
        PixelBox::new(x1, y1, x2, y2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sprites::tests::discs;
    use super::*;
    use std::collections::HashSet;

    const NAMES: [&str; 7] = ["cup", "key", "hat", "cup", "car", "bus", "key"];

    #[test]
    fn a_seed_makes_one_scene_and_another_seed_another() {
        let sprites = discs(&NAMES);
        let scene = |seed| compose(&sprites, seed).expect("a scene");
        let (one, same, other) = (scene(7), scene(7), scene(8));
        assert_eq!((&one.image, &one.boxes, &one.labels), (&same.image, &same.boxes, &same.labels));
        assert!(one.image != other.image && one.boxes != other.boxes);
    }

    #[test]
    fn things_are_distinct_whole_and_apart() {
        let sprites = discs(&NAMES);
        for seed in (0..500).chain([u64::MAX]) {
            let arranged = arrange(sprites.list(), &mut Chance::new(seed));
            let names: HashSet<&str> = arranged.iter().map(|(s, _)| s.name.as_str()).collect();
            assert_eq!(names.len(), OBJECTS, "seed {seed}");
            let places: Vec<[u32; 4]> = arranged.iter().map(|(_, place)| *place).collect();
            for (i, &[x, y, w, h]) in places.iter().enumerate() {
                let longest = f64::from(w.max(h)) / f64::from(SIDE);
                assert!(LONGEST.start - 0.001 < longest && longest < LONGEST.end + 0.001);
                assert!(x + w <= SIDE && y + h <= SIDE, "seed {seed}: {places:?}");
                for &[x2, y2, w2, h2] in &places[..i] {
                    let apart = x + w <= x2 || x2 + w2 <= x || y + h <= y2 || y2 + h2 <= y;
                    assert!(apart, "seed {seed}: {places:?}");
                }
            }
        }
    }

    #[test]
    fn drawings_are_seen_where_the_boxes_are() {
        let scene = compose(&discs(&["cup", "key", "hat", "car"]), 3).expect("a scene");
        let seen = |x: f64, y: f64| {
            let at = 3 * (y as usize * SIDE as usize + x as usize);
            scene.image.data()[at..at + 3].to_vec()
        };
        assert_eq!((scene.boxes.len(), scene.labels.len()), (OBJECTS, OBJECTS));
        for (b, label) in scene.boxes.iter().zip(&scene.labels) {
            let nth = ["cup", "key", "hat", "car"].iter().position(|n| n == label).expect("a name");
            // A drawing's middle is its disc's in height; in width the disc is around 10 of 20 to 23.
            let middle = seen(b.x1 + (b.x2 - b.x1) * 0.5, (b.y1 + b.y2) / 2.0);
            assert_eq!(middle, [nth as u8 * 60, 200, 90], "{label}");
            assert_ne!(seen(b.x1 + 1.0, b.y1 + 1.0), middle, "the corner of {label}");
        }
    }
}
