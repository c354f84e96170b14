//! Numbers and shapes become boxes: left, top, right, bottom.

use super::RegionBox;
use crate::preprocess::{BoxFormat, PixelBox};

/// A box in pixels from four numbers of `format`.
///
/// # Errors
/// The reason, if it is not finite or empty.
pub(crate) fn pixels(values: [f64; 4], format: BoxFormat) -> Result<RegionBox, String> {
    let [x1, y1, x2, y2] = usable(format.to_xyxy(values))?;
    Ok(RegionBox::Pixels(PixelBox::new(x1, y1, x2, y2)))
}

/// A box in fractions of the picture from four numbers of `format`.
///
/// # Errors
/// The reason, if it is not finite or empty.
pub(crate) fn fractions(values: [f64; 4], format: BoxFormat) -> Result<RegionBox, String> {
    usable(format.to_xyxy(values)).map(RegionBox::Fractions)
}

fn usable(edges: [f64; 4]) -> Result<[f64; 4], String> {
    let [x1, y1, x2, y2] = edges;
    if !edges.iter().all(|v| v.is_finite()) {
        return Err(format!("box {x1},{y1},{x2},{y2} holds a value that is not a finite number"));
    }
    if x2 <= x1 || y2 <= y1 {
        return Err(format!(
            "box {x1},{y1},{x2},{y2} (left, top, right, bottom) is empty or inverted; right must \
             be greater than left and bottom greater than top"
        ));
    }
    Ok(edges)
}

/// The box around points, of which there should be at least two.
///
/// # Errors
/// The reason, if there is no point.
pub(crate) fn hull(points: &[[f64; 2]]) -> Result<[f64; 4], String> {
    let (&[x, y], others) = points.split_first().ok_or("a shape without points has no box")?;
    Ok(others.iter().fold([x, y, x, y], |[x1, y1, x2, y2], &[x, y]| {
        [x1.min(x), y1.min(y), x2.max(x), y2.max(y)]
    }))
}

/// The box around an upright box that is turned about its centre by `degrees`.
pub(super) fn turned([x1, y1, x2, y2]: [f64; 4], degrees: f64) -> [f64; 4] {
    if degrees == 0.0 {
        return [x1, y1, x2, y2];
    }
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (w, h) = (x2 - x1, y2 - y1);
    let (width, height) = ((w * cos).abs() + (h * sin).abs(), (w * sin).abs() + (h * cos).abs());
    BoxFormat::Cxcywh.to_xyxy([(x1 + x2) / 2.0, (y1 + y2) / 2.0, width, height])
}

/// The box around an ellipse with radii along its own axes, turned by `degrees`.
pub(super) fn ellipse([cx, cy]: [f64; 2], [rx, ry]: [f64; 2], degrees: f64) -> [f64; 4] {
    let (sin, cos) = match degrees {
        0.0 => (0.0, 1.0),
        _ => degrees.to_radians().sin_cos(),
    };
    let (half_w, half_h) = ((rx * cos).hypot(ry * sin), (rx * sin).hypot(ry * cos));
    [cx - half_w, cy - half_h, cx + half_w, cy + half_h]
}

/// Reads a finite number.
///
/// # Errors
/// The reason, which names `field`.
pub(super) fn number(field: &str, text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.trim().parse().ok();
    let finite = value.filter(|v| v.is_finite());
    finite.ok_or_else(|| format!("field `{field}`: `{}` is not a finite number", shortened(text)))
}

/// As much of a text as belongs into a message.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}
