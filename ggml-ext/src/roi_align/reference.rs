//! The oracle: RoIAlign as a plain loop over the formula.

use super::{RoiAlignParams, RoiBox};

/// RoIAlign of `boxes` over `map`, a contiguous `[W, H, C]` (`[C, H, W]`) array, giving
/// `[out, out, C, N]` (`[N, C, out, out]`). Slow and obvious.
///
/// # Panics
/// If `map` does not have `w * h * c` elements.
pub fn roi_align_reference(
    map: &[f32],
    [w, h, c]: [usize; 3],
    boxes: &[RoiBox],
    p: &RoiAlignParams,
) -> Vec<f32> {
    assert_eq!(map.len(), w * h * c, "map of {w}x{h}x{c}");
    let out = p.output_size;
    let mut result = Vec::with_capacity(boxes.len() * c * out * out);
    for b in boxes {
        for plane in map.chunks(w * h) {
            for by in 0..out {
                for bx in 0..out {
                    result.push(bin_mean(plane, [w, h], b, p, [bx, by]));
                }
            }
        }
    }
    result
}

fn bin_mean(
    plane: &[f32],
    [w, h]: [usize; 2],
    b: &RoiBox,
    p: &RoiAlignParams,
    bin: [usize; 2],
) -> f32 {
    let [x1, y1, x2, y2] = b.map(|v| v * p.spatial_scale - 0.5);
    let out = p.output_size as f32;
    let (size_x, size_y) = ((x2 - x1) / out, (y2 - y1) / out);
    let samples = |bin: f32| match p.sampling_ratio {
        0 => bin.ceil() as usize,
        n => n,
    };
    let (nx, ny) = (samples(size_x), samples(size_y));
    let mut sum = 0.0;
    for sy in 0..ny {
        let y = y1 + bin[1] as f32 * size_y + (sy as f32 + 0.5) * size_y / ny as f32;
        for sx in 0..nx {
            let x = x1 + bin[0] as f32 * size_x + (sx as f32 + 0.5) * size_x / nx as f32;
            sum += bilinear(plane, w, h, x, y);
        }
    }
    sum / (nx * ny).max(1) as f32
}

fn bilinear(plane: &[f32], w: usize, h: usize, x: f32, y: f32) -> f32 {
    if y < -1.0 || y > h as f32 || x < -1.0 || x > w as f32 {
        return 0.0;
    }
    let (x0, x1, fx) = neighbours(x, w);
    let (y0, y1, fy) = neighbours(y, h);
    let at = |x: usize, y: usize| plane[y * w + x];
    (1.0 - fy) * ((1.0 - fx) * at(x0, y0) + fx * at(x1, y0))
        + fy * ((1.0 - fx) * at(x0, y1) + fx * at(x1, y1))
}

fn neighbours(v: f32, n: usize) -> (usize, usize, f32) {
    let v = v.max(0.0);
    let lo = v.floor() as usize;
    if lo >= n - 1 { (n - 1, n - 1, 0.0) } else { (lo, lo + 1, v - lo as f32) }
}
