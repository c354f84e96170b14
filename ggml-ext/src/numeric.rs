//! Distances between two arrays of floats.

/// Normalised mean squared error: `sum((a-b)^2) / sum(b^2)`, in double, `b` being the reference.
///
/// NaN or infinity anywhere gives infinity, and so do arrays of different length; two all-zero
/// arrays give zero.
pub fn nmse(a: &[f32], reference: &[f32]) -> f64 {
    if a.len() != reference.len() {
        return f64::INFINITY;
    }
    let mut err = 0.0;
    let mut norm = 0.0;
    for (&x, &y) in a.iter().zip(reference) {
        err += (f64::from(x) - f64::from(y)).powi(2);
        norm += f64::from(y).powi(2);
    }
    match err {
        e if !e.is_finite() => f64::INFINITY,
        0.0 => 0.0,
        e => e / norm,
    }
}

/// Cosine of the angle between two arrays, in double. NaN if one of them is all zero.
///
/// # Panics
/// If the lengths differ.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "cosine of arrays of different length");
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        x.iter().zip(y).map(|(&p, &q)| f64::from(p) * f64::from(q)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Largest absolute difference. Infinity for arrays of different length or with NaN.
pub fn max_abs_diff(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let mut max: f64 = 0.0;
    for (&x, &y) in a.iter().zip(b) {
        let d = (f64::from(x) - f64::from(y)).abs();
        if d.is_nan() {
            return f64::INFINITY;
        }
        max = max.max(d);
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(nmse(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        assert_eq!(nmse(&[2.0, 0.0], &[1.0, 0.0]), 1.0);
        assert_eq!(nmse(&[f32::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(nmse(&[1.0], &[1.0, 2.0]), f64::INFINITY);
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(max_abs_diff(&[1.0, 5.0], &[1.5, 5.0]), 0.5);
    }
}
