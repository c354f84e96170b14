//! Quantises a language model with llama.cpp's own quantiser:
//! `quantize_reference INPUT.gguf OUTPUT.gguf TYPE [THREADS]`.
//!
//! The converter is raced against it and its bytes are compared with this program's
//! (`scripts/race_convert.sh`).

use ggml_ext::FileType;
use ggml_ext::llama::quantize_file;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("quantize_reference: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let [input, output, file_type, rest @ ..] = args else {
        return Err("usage: quantize_reference INPUT.gguf OUTPUT.gguf TYPE [THREADS]".into());
    };
    let file_type: FileType = file_type.parse()?;
    let n_threads = match rest {
        [] => 0,
        [n] => n.parse().map_err(|e| format!("threads `{n}`: {e}"))?,
        _ => return Err("too many arguments".into()),
    };
    quantize_file(Path::new(input), Path::new(output), file_type, n_threads)
        .map_err(|e| e.to_string())
}
