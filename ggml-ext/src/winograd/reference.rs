//! The oracle: the convolution as plain loops over its definition.

use super::Kernel;

/// The 3 x 3 convolution, padding and stride 1, of each level in `sides` (width, height), all in
/// `x` one after the other, `[C_in, W, H]` each; gives `[C_out, W, H]` likewise. Slow and obvious.
///
/// # Panics
/// If `x` or the kernel is too short.
pub fn conv3x3_reference(
    x: &[f32],
    sides: &[[usize; 2]],
    [c_in, c_out]: [usize; 2],
    kernel: Kernel<'_>,
) -> Vec<f64> {
    let mut y = Vec::new();
    let mut first_pixel = 0;
    for &[w, h] in sides {
        let map = &x[first_pixel * c_in..][..w * h * c_in];
        for py in 0..h {
            for px in 0..w {
                for out in 0..c_out {
                    y.push(pixel(map, [w, h], [px, py], c_in, kernel, out));
                }
            }
        }
        first_pixel += w * h;
    }
    y
}

fn pixel(
    map: &[f32],
    [w, h]: [usize; 2],
    [px, py]: [usize; 2],
    c_in: usize,
    kernel: Kernel<'_>,
    out: usize,
) -> f64 {
    let mut sum = 0.0;
    for ky in 0..3 {
        for kx in 0..3 {
            // Shifted by one, the padding: 1 is the first pixel.
            let (x, y) = (px + kx, py + ky);
            if x == 0 || y == 0 || x > w || y > h {
                continue;
            }
            for c in 0..c_in {
                let weight = kernel.get(((out * c_in + c) * 3 + ky) * 3 + kx);
                sum += f64::from(weight) * f64::from(map[((y - 1) * w + x - 1) * c_in + c]);
            }
        }
    }
    sum
}
