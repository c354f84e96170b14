//! Against reference data: every stage, the text rules, RoIAlign.

use ggml_ext::gguf::Gguf;
use ggml_ext::graph::Graph;
use ggml_ext::llama::{LoadOptions, Model, TokenKind};
use ggml_ext::maps::Maps;
use ggml_ext::roi_align::{RoiAlignParams, RoiBox, RoiLowering, roi_align_reference};
use ggml_ext::{Backend, CancelToken, Error, numeric};
use gpt4roi::compare::compare;
use gpt4roi::prompt::{
    AnswerStream, BoxError, Detokenizer, Piece, PieceSource, TextEncoder, tokenize,
};
use gpt4roi_convert::FileType;
use gpt4roi_models::{MmprojHparams, SpecialTokens};
use gpt4roi_tests::goldens::{self, Floats};
use gpt4roi_tests::kv::Meta;
use gpt4roi_tests::{Pair, tiny};
use std::path::Path;

/// Largest difference of one RoIAlign value, a weighted mean of map values of order 1.
const ROI_TOLERANCE: f64 = 1e-6;

/// Converts a golden's checkpoint, or its delta with its base.
fn convert(golden: &Path, from: &str, base: Option<&str>, t: FileType) -> Pair {
    let name = golden.file_name().and_then(|n| n.to_str()).expect("a name");
    let base = base.map(|b| golden.join(b));
    let (checkpoint, clip) = (golden.join(from), golden.join("clip"));
    let name = format!("{name}-{from}");
    tiny::convert(&tiny::options(&checkpoint, &clip, base.as_deref(), &name, t))
}

fn within_bounds(pair: &Pair, golden: &Path) {
    let report = compare(&pair.options(), golden).unwrap_or_else(|e| panic!("{e}"));
    assert!(report.rows.len() > 40, "only {} values compared", report.rows.len());
    let worst = report.rows.iter().max_by(|a, b| a.error.total_cmp(&b.error));
    let worst = worst.expect("a row");
    eprintln!("{}: worst {} {:.1e}", pair.model.display(), worst.name, worst.error);
    assert!(report.first_departure().is_none(), "{:?}", report.first_departure());
}

#[test]
fn every_stage_is_within_bounds() {
    let Some(dir) = goldens::folder() else { return };
    for name in ["p1-real-vocab", "p2-delta-multiround"] {
        for t in [FileType::F32, FileType::F16] {
            let golden = dir.join(name);
            within_bounds(&convert(&golden, "checkpoint", None, t), &golden);
        }
    }
}

#[test]
fn a_delta_with_its_base_is_the_merged_checkpoint() {
    let Some(dir) = goldens::folder() else { return };
    let golden = dir.join("p2-delta-multiround");
    let summed = convert(&golden, "delta", Some("base"), FileType::F32);
    within_bounds(&summed, &golden);
    let merged = convert(&golden, "checkpoint", None, FileType::F32);
    for (a, b) in [(&summed.model, &merged.model), (&summed.mmproj, &merged.mmproj)] {
        let [a, b] = [a, b].map(|path| Gguf::open(path).expect("a converted file"));
        assert_eq!(a.tensors().len(), b.tensors().len());
        for t in a.tensors() {
            assert!(a.tensor_bytes(&t.name) == b.tensor_bytes(&t.name), "{}", t.name);
        }
    }
}

/// The vocabulary of a converted file, as llama.cpp sees it.
struct Vocabulary(Model);

impl TextEncoder for Vocabulary {
    fn encode(&self, piece: &str) -> Result<Vec<i32>, BoxError> {
        Ok(self.0.tokenize(piece))
    }
}

impl PieceSource for Vocabulary {
    fn piece(&self, id: i32) -> Result<Piece<'_>, BoxError> {
        let token = self.0.token(id).ok_or("no such token")?;
        Ok(match token.kind {
            TokenKind::Byte => Piece::byte_from_text(&token.text).ok_or("not a byte")?,
            TokenKind::Control => Piece::Control,
            TokenKind::Text => Piece::Text(token.text.into()),
        })
    }
}

fn text_model(dir: &Path) -> (Vocabulary, SpecialTokens) {
    let pair = convert(&dir.join("p1-real-vocab"), "checkpoint", None, FileType::F16);
    let model = Model::load(&pair.model, &LoadOptions::default(), &mut |_| true);
    let gguf = Gguf::open(&pair.mmproj).expect("a converted file");
    let hparams = MmprojHparams::from_kv(&Meta(&gguf)).expect("its constants");
    (Vocabulary(model.expect("a model")), hparams.tokens)
}

fn ids(value: &serde_json::Value) -> Vec<i32> {
    serde_json::from_value(value.clone()).expect("token ids")
}

#[test]
fn texts_become_the_recorded_ids_and_answers_end_where_recorded() {
    let Some(dir) = goldens::folder() else { return };
    let cases = std::fs::read(dir.join("text_cases.json")).expect("text cases");
    let cases: serde_json::Value = serde_json::from_slice(&cases).expect("JSON");
    let (vocabulary, special) = text_model(&dir);
    let texts = cases["tokenise"].as_array().expect("cases");
    assert_eq!(texts.len(), 54);
    for case in texts {
        let text = case["text"].as_str().expect("a text");
        let got = tokenize(text, &special, &vocabulary, usize::MAX).expect("ids");
        assert_eq!(got, ids(&case["ids"]), "{text:?}");
    }
    for case in cases["stop"].as_array().expect("cases") {
        check_stop(case, &vocabulary, &special);
    }
}

fn check_stop(case: &serde_json::Value, vocabulary: &Vocabulary, special: &SpecialTokens) {
    let mut stream = AnswerStream::new(Detokenizer::new(special, true));
    let (mut shown, mut stopped) = (String::new(), None);
    for id in ids(&case["generated_ids"]) {
        let step = stream.push(id, vocabulary).expect("a known token");
        shown += &step.text;
        if step.stop {
            stopped = Some(stream.n_tokens() as u64);
            break;
        }
    }
    assert_eq!(stopped, case["stop_after_tokens"].as_u64(), "{case}");
    assert_eq!(stream.decoded(), case["decoded"]);
    assert_eq!(shown + &stream.finish(), case["answer"]);
}

#[test]
fn roi_align_is_that_of_the_reference() {
    let Some(dir) = goldens::folder() else { return };
    let cases = Floats::open(&dir.join("roi_align_cases.safetensors"));
    let (_, fractions) = cases.get("boxes01");
    let boxes: Vec<RoiBox> =
        fractions.as_chunks::<4>().0.iter().map(|b| b.map(|v| v * 224.0)).collect();
    for level in 0..4 {
        let (shape, map) = cases.get(&format!("feat.{level}"));
        let (_, expected) = cases.get(&format!("roi.{level}"));
        let (side, channels) = (shape[2], shape[0]);
        let params = RoiAlignParams {
            output_size: 14,
            sampling_ratio: 2,
            spatial_scale: side as f32 / 224.0,
        };
        let scalar = roi_align_reference(&map, [side, side, channels], &boxes, &params);
        close("scalar", level, &scalar, &expected);
        for lowering in [RoiLowering::Fused, RoiLowering::MatMul] {
            let got = lowered(lowering, &map, [side, channels], &boxes, params);
            close(&format!("{lowering:?}"), level, &got, &expected);
        }
    }
}

fn close(what: &str, level: usize, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    let diff = numeric::max_abs_diff(got, expected);
    eprintln!("{what}, level {level}: max diff {diff:.1e}");
    assert!(diff <= ROI_TOLERANCE, "{what}, level {level}: {diff}");
}

fn lowered(
    lowering: RoiLowering,
    map: &[f32],
    [side, channels]: [usize; 2],
    boxes: &[RoiBox],
    params: RoiAlignParams,
) -> Vec<f32> {
    let backend = Backend::cpu(2, CancelToken::new()).expect("a CPU");
    let (mut graph, (input, out, roi)) = Graph::build("roi", &backend, 64, |g| {
        let (map, input) = g.input("map", &[side, side, channels]);
        let (out, roi) = g.roi_align_as(lowering, &Maps::planes(vec![map]), 0, boxes.len(), params);
        Ok::<_, Error>((input, g.output(g.to_batch(&out), "out"), roi))
    })
    .expect("a graph");
    graph.set(input, map).expect("a map");
    roi.set_boxes(&mut graph, boxes).expect("boxes");
    graph.run().expect("a run");
    let mut values = Vec::new();
    graph.get(out, &mut values);
    values
}
