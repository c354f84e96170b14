//! The drawings that fresh scenes are composed from: one picture with all of them, and a list of
//! where each is.

use anyhow::{Context, anyhow, ensure};
use image::imageops::crop_imm;
use image::{ImageReader, Limits, RgbaImage};
use serde::Deserialize;
use std::collections::HashSet;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// File that lists them.
const INDEX: &str = "sprites.json";
/// File that shows them.
const ATLAS: &str = "sprites.webp";
/// Longest side of the atlas, in pixels.
const MAX_SIDE: u32 = 8192;

/// All drawings.
pub(crate) struct Sprites {
    list: Vec<Sprite>,
    atlas: RgbaImage,
}

/// A drawing: what it shows, and its rectangle in the atlas.
#[derive(Deserialize)]
pub(crate) struct Sprite {
    pub(crate) name: String,
    x: u32,
    y: u32,
    pub(crate) w: u32,
    pub(crate) h: u32,
}

#[derive(Deserialize)]
struct Index {
    sprites: Vec<Sprite>,
}

impl Sprites {
    /// Reads the drawings in a folder, of at least `n` different things.
    pub(crate) fn load(folder: &Path, n: usize) -> anyhow::Result<Sprites> {
        let (index, atlas) = (folder.join(INDEX), folder.join(ATLAS));
        let read = |path: &Path| {
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
        };
        let Index { sprites } = serde_json::from_slice(&read(&index)?)
            .with_context(|| format!("`{}` is not a list of drawings", index.display()))?;
        let atlas = decode(&read(&atlas)?)
            .with_context(|| format!("`{}` is not a picture of drawings", atlas.display()))?;
        Sprites::new(sprites, atlas, n).with_context(|| format!("`{}`", index.display()))
    }

    /// Refuses rectangles that are not in the atlas.
    fn new(list: Vec<Sprite>, atlas: RgbaImage, n: usize) -> anyhow::Result<Sprites> {
        let (width, height) = atlas.dimensions();
        for Sprite { name, x, y, w, h } in &list {
            let fits = |at: &u32, side: &u32, all: u32| {
                *side > 0 && at.checked_add(*side).is_some_and(|end| end <= all)
            };
            ensure!(
                fits(x, w, width) && fits(y, h, height),
                "`{name}`: {w}x{h} pixels at {x},{y} are not inside the {width}x{height} atlas"
            );
        }
        let names: HashSet<&str> = list.iter().map(|s| s.name.as_str()).collect();
        ensure!(names.len() >= n, "a scene takes {n} different things, it lists {}", names.len());
        Ok(Sprites { list, atlas })
    }

    /// All drawings, in the order of the list.
    pub(crate) fn list(&self) -> &[Sprite] {
        &self.list
    }

    /// The pixels of a drawing, colours multiplied by alpha: only those may be interpolated.
    pub(crate) fn premultiplied(&self, sprite: &Sprite) -> RgbaImage {
        let Sprite { x, y, w, h, .. } = *sprite;
        let mut pixels = crop_imm(&self.atlas, x, y, w, h).to_image();
        for image::Rgba([r, g, b, alpha]) in pixels.pixels_mut() {
            for colour in [r, g, b] {
                *colour = (f32::from(*colour) * f32::from(*alpha) / 255.0).round() as u8;
            }
        }
        pixels
    }
}

/// Decodes the atlas. Unlike the library's images it keeps its alpha.
fn decode(bytes: &[u8]) -> anyhow::Result<RgbaImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    reader.limits(limits);
    // The decoder is other people's code and the file may be anybody's.
    let decoded = catch_unwind(AssertUnwindSafe(|| reader.decode()))
        .map_err(|_| anyhow!("the decoder failed on malformed data"))??;
    ensure!(decoded.color().has_alpha(), "it has no transparency");
    Ok(decoded.into_rgba8())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage, Rgba};

    /// Drawings of `names`: discs of different colours and shapes, on nothing.
    pub(crate) fn discs(names: &[&str]) -> Sprites {
        let list = (0..).zip(names).map(|(i, name)| sprite(name, [i * 40, 0, 20 + i % 21, 40]));
        let atlas = RgbaImage::from_fn(40 * names.len() as u32, 40, |x, y| {
            let inside = (x % 40).abs_diff(10) + y.abs_diff(20) < 10;
            Rgba([(x / 40 * 60) as u8, 200, 90, if inside { 255 } else { 0 }])
        });
        Sprites::new(list.collect(), atlas, 1).expect("drawings")
    }

    fn sprite(name: &str, [x, y, w, h]: [u32; 4]) -> Sprite {
        Sprite { name: name.into(), x, y, w, h }
    }

    #[test]
    fn rectangles_outside_the_atlas_are_refused() {
        let refused = |at, n| {
            let result = Sprites::new(vec![sprite("cup", at)], RgbaImage::new(30, 20), n);
            result.err().map(|e| e.to_string())
        };
        assert_eq!(refused([0, 0, 30, 20], 1), None);
        assert_eq!(refused([29, 19, 1, 1], 1), None);
        for at in [[0, 0, 31, 20], [0, 1, 30, 20], [5, 5, 0, 3], [5, 5, 3, 0], [u32::MAX, 0, 2, 2]]
        {
            let message = refused(at, 1).expect("an error");
            assert!(message.contains("`cup`") && message.contains("30x20"), "{message}");
        }
        let few = refused([0, 0, 30, 20], 2).expect("an error");
        assert!(few.contains("takes 2") && few.contains("lists 1"), "{few}");
    }

    #[test]
    fn alpha_survives_and_weighs_the_colours() {
        let pixels = [[200, 100, 50, 255], [200, 100, 50, 128], [200, 100, 50, 0]];
        let picture = RgbaImage::from_fn(3, 1, |x, _| Rgba(pixels[x as usize]));
        for format in [ImageFormat::WebP, ImageFormat::Png] {
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, format).expect("a picture in memory");
            let atlas = decode(bytes.get_ref()).expect("a picture");
            assert_eq!([0, 1, 2].map(|x| atlas.get_pixel(x, 0)[3]), [255, 128, 0]);
            let all = Sprites::new(vec![sprite("a", [0, 0, 3, 1])], atlas, 1).expect("a drawing");
            let weighed = all.premultiplied(&all.list()[0]);
            assert_eq!(*weighed.get_pixel(0, 0), Rgba(pixels[0]));
            assert_eq!(*weighed.get_pixel(1, 0), Rgba([100, 50, 25, 128]));
            assert_eq!(*weighed.get_pixel(2, 0), Rgba([0; 4]));
        }
    }

    #[test]
    fn an_atlas_is_a_picture_with_transparency() {
        let mut opaque = Cursor::new(Vec::new());
        RgbImage::new(4, 4).write_to(&mut opaque, ImageFormat::Png).expect("a picture in memory");
        let refused = |bytes: &[u8]| decode(bytes).err().map(|e| e.to_string()).expect("an error");
        assert!(refused(opaque.get_ref()).contains("no transparency"));
        for bytes in [&b""[..], b"RIFF", b"RIFF\x08\0\0\0WEBPVP8L", &opaque.get_ref()[..40]] {
            refused(bytes);
        }
    }
}
