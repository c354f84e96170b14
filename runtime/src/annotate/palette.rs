//! Colours. Those of the regions are from Okabe and Ito's set, which most colour-blind people can
//! tell apart, in an order that keeps neighbours far from each other.

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

/// The page.
pub(super) const PAPER: Rgb = [255, 255, 255];
/// Answers.
pub(super) const INK: Rgb = [17, 24, 33];
/// Questions and the footer.
pub(super) const SOFT_INK: Rgb = [84, 94, 107];
/// Thin lines.
pub(super) const RULE: Rgb = [218, 223, 229];
/// Around what stands on the image.
pub(super) const HALO: Rgb = [255, 255, 255];

/// Colours of regions.
pub(super) const REGIONS: [Rgb; 8] = [
    [0, 114, 178],   // blue
    [230, 159, 0],   // orange
    [0, 158, 115],   // bluish green
    [204, 121, 167], // reddish purple
    [213, 94, 0],    // vermilion
    [86, 180, 233],  // sky blue
    [68, 68, 68],    // dark grey for the set's black
    [240, 228, 66],  // yellow
];

/// Colour of the region at a place of the sheet's list.
pub(super) fn region(index: usize) -> Rgb {
    REGIONS[index % REGIONS.len()]
}

/// Black or white, whichever is easier to read on a colour.
pub(super) fn on(background: Rgb) -> Rgb {
    match contrast(background, PAPER) >= contrast(background, INK) {
        true => PAPER,
        false => INK,
    }
}

/// Contrast ratio of two colours as WCAG defines it, 1 to 21.
pub(super) fn contrast(a: Rgb, b: Rgb) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: Rgb) -> f32 {
    let linear = colour.map(|v| {
        let v = f32::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_read() {
        for (text, background, least) in [(INK, PAPER, 12.0), (SOFT_INK, PAPER, 4.5)]
            .into_iter()
            .chain(REGIONS.map(|c| (on(c), c, 4.5)))
        {
            let got = contrast(text, background);
            assert!(got >= least, "{text:?} on {background:?}: {got}");
        }
    }

    #[test]
    fn regions_differ_and_repeat() {
        for (i, a) in REGIONS.iter().enumerate() {
            assert!(REGIONS[..i].iter().all(|b| a != b));
        }
        assert_eq!(region(0), region(REGIONS.len()));
    }
}
