//! The image stage against reference tensors.

use std::path::Path;

use gpt4roi::preprocess::{PassOrder, PreprocessMode, PreprocessOptions, bicubic_step, load, run};
use safetensors::SafeTensors;

const OPTIONS: PreprocessOptions = PreprocessOptions {
    size: 224,
    mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
    std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
    mode: PreprocessMode::Inference,
};

fn check(folder: &Path) {
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let image = load(&folder.join("image.png")).unwrap();

    let small = bicubic_step(&image, 224, PassOrder::HorizontalFirst).unwrap();
    let expected = tensors.tensor("bicubic_u8").unwrap();
    assert_eq!(expected.shape(), [small.height() as usize, small.width() as usize, 3]);
    assert!(small.data() == expected.data(), "bicubic step differs in {}", folder.display());

    let pixels = run(&image, &OPTIONS).unwrap();
    let expected = tensors.tensor("pixel_values").unwrap();
    assert_eq!(expected.shape(), [1, 3, 224, 224]);
    let expected: Vec<f32> = expected
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let (mut error, mut power, mut worst) = (0.0, 0.0, 0.0f64);
    for (got, want) in pixels.data.iter().zip(&expected) {
        let difference = f64::from(got - want);
        error += difference * difference;
        power += f64::from(*want).powi(2);
        worst = worst.max(difference.abs());
    }
    assert_eq!(pixels.data.len(), expected.len());
    println!("{}: nmse {:.2e}, max abs {worst:.2e}", folder.display(), error / power);
    assert!(error / power <= 1e-12 && worst <= 1e-6);
}

#[test]
fn goldens_are_met() {
    let Some(root) = crate::golden_files::goldens() else {
        return;
    };
    for name in ["p1-real-vocab", "p2-delta-multiround"] {
        check(&root.join(name));
    }
}
