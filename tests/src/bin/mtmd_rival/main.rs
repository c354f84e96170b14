//! What people do today with a box: cut it out and show it to a vision-language model, with llama.cpp's own libmtmd.
//!
//! Times that on the same two files as ours, crop by crop: encoding, reading the prompt, and a fixed number of the likeliest
//! tokens. Prints one JSON object.

use anyhow::{Context as _, Result, ensure};
use argh::FromArgs;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::mtmd::{
    MtmdBitmap, MtmdContext, MtmdContextParams, MtmdInputText, mtmd_default_marker,
};
use llama_cpp_2::token::LlamaToken;
use serde::Serialize;
use std::ffi::CString;
use std::num::NonZeroU32;
use std::time::Instant;

/// Time libmtmd on crops of a picture.
#[derive(FromArgs)]
struct Args {
    /// language model, a GGUF file
    #[argh(option)]
    model: String,
    /// vision tower, a GGUF file
    #[argh(option)]
    mmproj: String,
    /// threads
    #[argh(option)]
    threads: i32,
    /// crops that count, after one that does not (default 3)
    #[argh(option, default = "3")]
    crops: u32,
    /// tokens of an answer (default 24)
    #[argh(option, default = "24")]
    generate: usize,
}

/// Milliseconds of one crop.
#[derive(Serialize)]
struct Times {
    encode: f64,
    prefill: f64,
    decode: f64,
    n_prompt: i32,
}

const N_CTX: u32 = 1024;

fn main() -> Result<()> {
    let args: Args = argh::from_env();
    let backend = LlamaBackend::init()?;
    let model = LlamaModel::load_from_file(&backend, &args.model, &LlamaModelParams::default())
        .with_context(|| args.model.clone())?;
    let params =
        LlamaContextParams::default().with_n_ctx(NonZeroU32::new(N_CTX)).with_n_batch(N_CTX);
    let params = params.with_n_threads(args.threads).with_n_threads_batch(args.threads);
    let mut context = model.new_context(&backend, params)?;
    let params = MtmdContextParams {
        use_gpu: false,
        print_timings: false,
        n_threads: args.threads,
        media_marker: CString::new(mtmd_default_marker())?,
        ..MtmdContextParams::default()
    };
    let mut mtmd = MtmdContext::init_from_file(&args.mmproj, &model, &params)
        .with_context(|| args.mmproj.clone())?;
    let mut all = Vec::new();
    for i in 0..=args.crops {
        let times = crop(&mut mtmd, &mut context, i, args.generate)?;
        if i > 0 {
            all.push(times);
        }
    }
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}

/// Encodes the `i`th crop, reads the prompt about it, answers.
fn crop(
    mtmd: &mut MtmdContext,
    context: &mut LlamaContext<'_>,
    i: u32,
    n_generate: usize,
) -> Result<Times> {
    let (width, height) = (200 + 7 * i, 150 + 5 * i);
    let pixels: Vec<u8> = (0..width * height * 3).map(|p| (p * (31 + i) % 251) as u8).collect();
    let bitmap = MtmdBitmap::from_image_data(width, height, &pixels)?;
    let text = format!(
        "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, \
         detailed, and polite answers to the human's questions.###Human: {}\nWhat is this?###Assistant:",
        mtmd_default_marker()
    );
    let text = MtmdInputText { text, add_special: true, parse_special: true };
    let chunks = mtmd.tokenize(text, &[&bitmap])?;
    let image = (0..chunks.len()).filter_map(|c| chunks.get(c)).find(|c| c.text_tokens().is_none());
    let start = Instant::now();
    mtmd.encode_chunk(&image.context("no picture in the prompt")?)?;
    let encode = start.elapsed();
    context.clear_kv_cache();
    let start = Instant::now();
    // Encodes once more, since its interface cannot be given the vectors.
    let n_prompt = chunks.eval_chunks(mtmd, context, 0, 0, N_CTX as i32, true)?;
    let prefill = start.elapsed().saturating_sub(encode);
    ensure!(n_prompt as usize + n_generate < N_CTX as usize, "{n_prompt} positions");
    let start = Instant::now();
    answer(context, n_prompt, n_generate)?;
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    Ok(Times { encode: ms(encode), prefill: ms(prefill), decode: ms(start.elapsed()), n_prompt })
}

/// The likeliest tokens, one by one.
fn answer(context: &mut LlamaContext<'_>, n_prompt: i32, n: usize) -> Result<()> {
    let mut batch = LlamaBatch::new(1, 1);
    let mut last = -1;
    for i in 0..n as i32 {
        let logits = context.get_logits_ith(last);
        let likeliest = logits.iter().zip(0..).max_by(|a, b| a.0.total_cmp(b.0));
        batch.clear();
        batch.add(LlamaToken(likeliest.map_or(0, |(_, id)| id)), n_prompt + i, &[0], true)?;
        context.decode(&mut batch)?;
        last = 0;
    }
    Ok(())
}
