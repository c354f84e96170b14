//! Stock libmtmd loads our mmproj file beside our language model and encodes a picture with it.
//!
//! A load-and-run check, not an oracle: libmtmd of the pinned version treats the class token and
//! the projector's activation differently from the model's own code.

use gpt4roi_convert::FileType;
use gpt4roi_tests::pictures::picture;
use gpt4roi_tests::tiny::tiny;
use gpt4roi_tests::worker;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::mtmd::{
    MtmdBitmap, MtmdContext, MtmdContextParams, MtmdInputText, mtmd_default_marker,
};
use std::ffi::CString;
use std::num::NonZeroU32;
use std::process::Stdio;

/// llama.cpp's global state can be set up once in a process, which `ggml-ext` does for the others.
#[test]
fn libmtmd_loads_and_runs_our_files() {
    let pair = tiny(FileType::F16);
    let job = format!("{}:{}", pair.model.display(), pair.mmproj.display());
    let mut command = worker::command("interop::worker", &job, None);
    let out = command.stdin(Stdio::null()).output().expect("a worker");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("positions in the cache"), "{out:?}");
}

#[test]
#[ignore = "a worker of the test above"]
fn worker() {
    let Some(job) = worker::job() else { return };
    let (model, mmproj) = job.split_once(':').expect("two files");
    let backend = LlamaBackend::init().expect("llama.cpp");
    let model = LlamaModel::load_from_file(&backend, model, &LlamaModelParams::default());
    let model = model.expect("our language model");
    let params = LlamaContextParams::default().with_n_ctx(NonZeroU32::new(1024));
    let mut context = model.new_context(&backend, params).expect("a context");
    let params = MtmdContextParams {
        use_gpu: false,
        print_timings: false,
        n_threads: 1,
        media_marker: CString::new(mtmd_default_marker()).expect("no NUL"),
        ..MtmdContextParams::default()
    };
    let mut mtmd = MtmdContext::init_from_file(mmproj, &model, &params).expect("our mmproj file");
    assert!(mtmd.support_vision() && !mtmd.support_audio());
    let image = picture(200, 150, 1);
    let bitmap = MtmdBitmap::from_image_data(200, 150, image.data()).expect("a bitmap");
    let text = format!("What is this? {}", mtmd_default_marker());
    let text = MtmdInputText { text, add_special: true, parse_special: true };
    let chunks = mtmd.tokenize(text, &[&bitmap]).expect("chunks");
    assert!(chunks.total_tokens() > 256, "{} tokens", chunks.total_tokens());
    (0..chunks.len())
        .filter_map(|i| chunks.get(i))
        .filter(|c| c.text_tokens().is_none())
        .for_each(|c| mtmd.encode_chunk(&c).expect("an encoded picture"));
    let end = chunks.eval_chunks(&mut mtmd, &mut context, 0, 0, 512, true).expect("a prefill");
    println!("{end} positions in the cache");
    assert!(end > 256);
}
