//! Pixels as cameras have them, and how they become RGB.

use std::str::FromStr;

use super::{Error, VideoOptions};
use crate::RgbImage8;

/// Largest number of bytes that rows are padded to.
const MAX_ALIGN: u32 = 4096;
/// Largest width or height.
const MAX_SIDE: u32 = 1 << 15;
/// Most pixels of a frame: an 8K picture has half of them.
const MAX_PIXELS: u64 = 1 << 26;

/// The form of pixels, by ffmpeg's names; GStreamer's are understood too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb24,
    /// Blue, green, red.
    Bgr24,
    /// Red, green, blue, and a fourth byte that is skipped.
    Rgba,
    /// Blue, green, red, and a fourth byte that is skipped.
    Bgra,
    /// Brightness alone.
    Gray8,
    /// A plane of Y, and one of U and V by turns for every second pixel of every second row.
    Nv12,
    /// The same with V in front of U.
    Nv21,
    /// Planes of Y, U and V, the latter two for every second pixel of every second row; `yuv420p`.
    I420,
    /// The same for every second pixel of every row; `yuv422p`.
    I422,
    /// The same for every pixel; `yuv444p`.
    I444,
    /// Y, U, Y and V for two pixels at a time.
    Yuyv422,
}

impl FromStr for PixelFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "rgb24" | "rgb" => Self::Rgb24,
            "bgr24" | "bgr" => Self::Bgr24,
            "rgba" | "rgb0" | "rgbx" => Self::Rgba,
            "bgra" | "bgr0" | "bgrx" => Self::Bgra,
            "gray" | "gray8" => Self::Gray8,
            "nv12" => Self::Nv12,
            "nv21" => Self::Nv21,
            "yuv420p" | "i420" => Self::I420,
            "yuv422p" | "y42b" => Self::I422,
            "yuv444p" | "y444" => Self::I444,
            "yuyv422" | "yuyv" | "yuy2" => Self::Yuyv422,
            _ => {
                let known = "rgb24, bgr24, rgba, bgra, gray, nv12, nv21, yuv420p, yuv422p, yuv444p or yuyv422";
                return Err(format!("choose {known}"));
            }
        })
    }
}

/// How brightness and colour were made from RGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// ITU-R BT.709 instead of BT.601.
    pub hd: bool,
    /// From 0 to 255 instead of from 16 to 235 (240 for colour).
    pub full_range: bool,
}

impl FromStr for Colours {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let (hd, full_range) = match name {
            "bt601" => (false, false),
            "bt601-full" => (false, true),
            "bt709" => (true, false),
            "bt709-full" => (true, true),
            _ => return Err("choose bt601, bt709, bt601-full or bt709-full".into()),
        };
        Ok(Colours { hd, full_range })
    }
}

impl Colours {
    /// What is usual for that height, as nothing in these streams tells.
    pub(super) fn of_height(height: u32) -> Colours {
        Colours { hd: height >= 720, full_range: false }
    }

    /// Factors of fixed-point arithmetic.
    fn factors(self) -> Factors {
        let (kr, kb) = if self.hd { (0.2126, 0.0722) } else { (0.299, 0.114) };
        let kg = 1.0 - kr - kb;
        let (y, c) = if self.full_range { (1.0, 1.0) } else { (255.0 / 219.0, 255.0 / 224.0) };
        let fixed = |x: f64| (x * f64::from(1 << SHIFT)).round() as i32;
        Factors {
            offset: if self.full_range { 0 } else { 16 },
            y: fixed(y),
            rv: fixed(2.0 * (1.0 - kr) * c),
            gu: fixed(2.0 * kb * (1.0 - kb) / kg * c),
            gv: fixed(2.0 * kr * (1.0 - kr) / kg * c),
            bu: fixed(2.0 * (1.0 - kb) * c),
        }
    }
}

/// Bits behind the point.
const SHIFT: u32 = 16;

#[derive(Clone, Copy)]
struct Factors {
    offset: i32,
    y: i32,
    rv: i32,
    gu: i32,
    gv: i32,
    bu: i32,
}

impl Factors {
    /// ITU-R BT.601 and BT.709, section 3: R = Y + 2 (1 - Kr) V and so on, scaled to the range.
    #[inline(always)]
    fn rgb(self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let half = 1 << (SHIFT - 1);
        let y = (i32::from(y) - self.offset) * self.y + half;
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let byte = |x: i32| (x >> SHIFT).clamp(0, 255) as u8;
        [byte(y + self.rv * v), byte(y - self.gu * u - self.gv * v), byte(y + self.bu * u)]
    }
}

/// Frames that are nothing but pixels, and what pads their rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pixel: PixelFormat,
    width: usize,
    height: usize,
    colours: Colours,
    row_align: usize,
}

impl Layout {
    pub(super) fn new(
        pixel: PixelFormat,
        (width, height): (u32, u32),
        colours: Colours,
    ) -> Result<Layout, Error> {
        let fits = |side: u32| (1..=MAX_SIDE).contains(&side);
        if !fits(width) || !fits(height) || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(Error::Size { width, height });
        }
        Ok(Layout { pixel, width: width as usize, height: height as usize, colours, row_align: 1 })
    }

    /// What the header of a video, or the height of its frames, does not say.
    pub(super) fn with(self, options: &VideoOptions) -> Result<Layout, Error> {
        let row_align = options.row_align.unwrap_or(1);
        if !row_align.is_power_of_two() || row_align > MAX_ALIGN {
            return Err(Error::RowAlign(row_align));
        }
        let colours = options.colours.unwrap_or(self.colours);
        Ok(Layout { colours, row_align: row_align as usize, ..self })
    }

    /// Bytes of a row with what pads it.
    fn padded(&self, n: usize) -> usize {
        n.next_multiple_of(self.row_align)
    }

    /// Width and height of the planes of colour, where there are any.
    fn chroma(&self) -> (usize, usize) {
        let (w, h) = (self.width, self.height);
        match self.pixel {
            PixelFormat::I420 | PixelFormat::Nv12 | PixelFormat::Nv21 => {
                (w.div_ceil(2), h.div_ceil(2))
            }
            PixelFormat::I422 => (w.div_ceil(2), h),
            PixelFormat::I444 => (w, h),
            _ => (0, 0),
        }
    }

    /// Bytes of a row of the first plane, and of a row of all planes of colour.
    fn row_bytes(&self) -> (usize, usize) {
        let (w, (cw, _)) = (self.width, self.chroma());
        match self.pixel {
            PixelFormat::Rgb24 | PixelFormat::Bgr24 => (3 * w, 0),
            PixelFormat::Rgba | PixelFormat::Bgra => (4 * w, 0),
            PixelFormat::Yuyv422 => (w.div_ceil(2) * 4, 0),
            PixelFormat::Nv12 | PixelFormat::Nv21 => (w, self.padded(2 * cw)),
            PixelFormat::Gray8 | PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444 => {
                (w, 2 * self.padded(cw))
            }
        }
    }

    /// Bytes of a frame.
    pub(super) fn n_bytes(&self) -> usize {
        let (first, colours) = self.row_bytes();
        self.padded(first) * self.height + colours * self.chroma().1
    }

    /// A frame of [`Layout::n_bytes`] bytes as RGB. Colours of several pixels are each one's, without interpolation.
    pub(super) fn to_rgb(self, bytes: &[u8]) -> Result<RgbImage8, Error> {
        let mut out = vec![0u8; 3 * self.width * self.height];
        for (y, row) in out.chunks_exact_mut(3 * self.width).enumerate() {
            self.row(bytes, y, row);
        }
        Ok(RgbImage8::new(self.width as u32, self.height as u32, out)?)
    }

    fn row(self, bytes: &[u8], y: usize, out: &mut [u8]) {
        let (w, h, f) = (self.width, self.height, self.colours.factors());
        let (first, colours) = self.row_bytes();
        let row = &bytes[y * self.padded(first)..][..first];
        let ((cw, ch), begin) = (self.chroma(), self.padded(first) * h);
        // The row of a plane of colour that is this row's.
        let at = y * ch / h;
        match self.pixel {
            PixelFormat::Rgb24 => out.copy_from_slice(row),
            PixelFormat::Bgr24 => packed::<3>(row, out, [2, 1, 0]),
            PixelFormat::Rgba => packed::<4>(row, out, [0, 1, 2]),
            PixelFormat::Bgra => packed::<4>(row, out, [2, 1, 0]),
            PixelFormat::Gray8 => grey(row, out, f),
            PixelFormat::Yuyv422 => yuyv(row, out, f),
            PixelFormat::Nv12 | PixelFormat::Nv21 => {
                let both = &bytes[begin + at * colours..][..2 * cw];
                let first = usize::from(self.pixel == PixelFormat::Nv21);
                interleaved(row, both, first, out, f);
            }
            PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444 => {
                let stride = colours / 2;
                let u = &bytes[begin + at * stride..][..cw];
                let v = &bytes[begin + (ch + at) * stride..][..cw];
                match cw == w {
                    true => planar::<1>(row, u, v, out, f),
                    false => planar::<2>(row, u, v, out, f),
                }
            }
        }
    }
}

fn packed<const N: usize>(row: &[u8], out: &mut [u8], order: [usize; 3]) {
    for (pixel, rgb) in row.chunks_exact(N).zip(out.chunks_exact_mut(3)) {
        for (byte, &i) in rgb.iter_mut().zip(&order) {
            *byte = pixel[i];
        }
    }
}

fn grey(row: &[u8], out: &mut [u8], f: Factors) {
    for (&y, rgb) in row.iter().zip(out.chunks_exact_mut(3)) {
        rgb.copy_from_slice(&f.rgb(y, 128, 128));
    }
}

/// `N` pixels of a row have a colour together.
fn planar<const N: usize>(row: &[u8], u: &[u8], v: &[u8], out: &mut [u8], f: Factors) {
    let pixels = row.chunks(N).zip(out.chunks_mut(3 * N));
    for ((ys, rgb), (&u, &v)) in pixels.zip(u.iter().zip(v)) {
        for (&y, rgb) in ys.iter().zip(rgb.chunks_exact_mut(3)) {
            rgb.copy_from_slice(&f.rgb(y, u, v));
        }
    }
}

/// Two pixels of a row have a colour together, of which U is at index `first`.
fn interleaved(row: &[u8], colours: &[u8], first: usize, out: &mut [u8], f: Factors) {
    let pixels = row.chunks(2).zip(out.chunks_mut(6));
    for ((ys, rgb), colour) in pixels.zip(colours.chunks_exact(2)) {
        for (&y, rgb) in ys.iter().zip(rgb.chunks_exact_mut(3)) {
            rgb.copy_from_slice(&f.rgb(y, colour[first], colour[1 - first]));
        }
    }
}

fn yuyv(row: &[u8], out: &mut [u8], f: Factors) {
    for (four, rgb) in row.chunks_exact(4).zip(out.chunks_mut(6)) {
        for (i, rgb) in rgb.chunks_exact_mut(3).enumerate() {
            rgb.copy_from_slice(&f.rgb(four[2 * i], four[1], four[3]));
        }
    }
}
