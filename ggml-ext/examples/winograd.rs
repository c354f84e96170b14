//! Time and rate of the convolution at real size, and the share of the processor's peak.
//!
//! `winograd [threads [megabytes [isa [c_in [c_out [side [tile]]]]]]]`, for example `winograd 2 130 avx2`, or `winograd 2 130 best
//! 1024 1024 14 4` for one map of 14 x 14 in tiles of 4 x 4.
//!
//! Times are processor time of the threads where the system tells it (Linux), so that a busy
//! machine disturbs them through its caches only; the peak is measured right before and after, by
//! a loop that uses registers only. A thread that waits yields, but what it spins counts.

use ggml_ext::winograd::{
    Conv, Isa, Job, Kernel, Moments, Options, Phase, Probe, Scheme, Workspace,
};
use half::f16;
use std::time::Instant;

const SIDES: [[usize; 2]; 4] = [[128, 128], [64, 64], [32, 32], [16, 16]];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| args.get(i).map_or(Ok(default), |a| a.parse());
    let isa = match args.get(2).map_or("", String::as_str) {
        "avx512" => Some(Isa::Avx512),
        "avx2" => Some(Isa::Avx2),
        "neon" => Some(Isa::Neon),
        "portable" => Some(Isa::Portable),
        _ => None,
    };
    let threads = match number(0, 0)? {
        0 => vec![1, 2],
        n => vec![n],
    };
    let channels = [number(3, 1024)?, number(4, 1024)?];
    let sides = match number(5, 0)? {
        0 => SIDES.to_vec(),
        side => vec![[side; 2]],
    };
    let tile = number(6, 0)?;
    let scheme = Scheme::ALL.into_iter().find(|s| s.side() == tile);
    for n_threads in threads {
        let options = Options { n_threads, budget: number(1, 130)? * 1_000_000, isa, scheme };
        bench(&Conv::new(&sides, channels, options)?, channels, n_threads)?;
    }
    Ok(())
}

fn bench(
    conv: &Conv,
    [c_in, c_out]: [usize; 2],
    n: usize,
) -> Result<(), ggml_ext::winograd::Error> {
    println!("{n} threads, {:.1} MB: {}", conv.scratch_bytes() as f64 / 1e6, conv.describe(n));
    let mut state = 1u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
    };
    let x: Vec<f32> = (0..conv.n_pixels() * c_in).map(|_| uniform()).collect();
    let w: Vec<f16> = (0..9 * c_in * c_out).map(|_| f16::from_f32(uniform() * 0.05)).collect();
    // Not zeros, which would be pages that do not exist yet.
    let mut y = vec![1.0; conv.n_pixels() * c_out];
    let mut moments = vec![Moments::default(); conv.n_levels() * c_out];
    let workspace = conv.workspace()?;
    let job = Job::new(&x, Kernel::F16(&w), &mut y, &mut moments);

    // The first run touches the workspace's pages, which the system then has to find.
    for warm in [false, true] {
        let before = peak();
        let (times, wall) = run(conv, &workspace, &job, n);
        println!(" {} run", if warm { "second" } else { "first" });
        report(conv, &times, [before, peak()], wall);
    }
    Ok(())
}

/// Runs once; gives the times of all threads, and that on the wall.
fn run(conv: &Conv, workspace: &Workspace, job: &Job<'_>, n: usize) -> (Vec<Times>, f64) {
    let start = Instant::now();
    let times: Vec<Times> = std::thread::scope(|scope| {
        let run = |ith| {
            scope.spawn(move || {
                let mut times = Times::new();
                // SAFETY: each number once, all at once; workspace and job are used by nobody else
                // until the scope ends.
                unsafe { conv.run(workspace, job, ith, n, &mut times) };
                times
            })
        };
        let handles: Vec<_> = (0..n).map(run).collect();
        handles.into_iter().filter_map(|h| h.join().ok()).collect()
    });
    (times, start.elapsed().as_secs_f64())
}

fn report(conv: &Conv, times: &[Times], peaks: [f64; 2], wall: f64) {
    let gflop = 2.0 * conv.n_products() as f64 / 1e9;
    let busy: f64 = times.iter().map(|t| t.seconds[..WAIT].iter().sum::<f64>()).sum();
    let peak = (peaks[0] + peaks[1]) / 2.0;
    let per_thread = gflop / busy;
    println!("  peak of a thread {:.1} / {:.1} GFLOP/s (before / after)", peaks[0], peaks[1]);
    println!(
        "  {:.0} ms of processor time a thread, {per_thread:.1} GFLOP/s a thread, {:.1} % of peak",
        busy / times.len() as f64 * 1e3,
        per_thread / peak * 100.0
    );
    println!("  {:.0} ms by the clock on the wall", wall * 1e3);
    for (i, name) in NAMES.iter().enumerate() {
        let ms: Vec<String> = times.iter().map(|t| format!("{:.1}", t.seconds[i] * 1e3)).collect();
        println!("  {name:<9} {} ms", ms.join(" + "));
    }
    let multiply: f64 = times.iter().map(|t| t.seconds[2]).sum();
    println!("  multiply: {:.1} % of peak", gflop / multiply / peak * 100.0);
}

const NAMES: [&str; 6] = ["input", "weights", "multiply", "output", "moments", "wait"];
const WAIT: usize = 5;

/// Processor time of a thread, by phase.
struct Times {
    seconds: [f64; 6],
    current: usize,
    since: f64,
}

impl Times {
    fn new() -> Times {
        Times { seconds: [0.0; 6], current: WAIT, since: now() }
    }
}

impl Probe for Times {
    fn enter(&mut self, phase: Phase) {
        let t = now();
        self.seconds[self.current] += t - self.since;
        self.since = t;
        self.current = match phase {
            Phase::Input => 0,
            Phase::Weights => 1,
            Phase::Multiply => 2,
            Phase::Output => 3,
            Phase::Moments => 4,
            Phase::Wait => WAIT,
        };
    }
}

/// Seconds of processor time of this thread.
#[cfg(target_os = "linux")]
fn now() -> f64 {
    #[repr(C)]
    struct Timespec {
        seconds: std::ffi::c_long,
        nanoseconds: std::ffi::c_long,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: std::ffi::c_int, time: *mut Timespec) -> std::ffi::c_int;
    }
    const THREAD_CPUTIME: std::ffi::c_int = 3;
    let mut t = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: POSIX's function and structure, as Linux defines them on 64-bit systems.
    unsafe { clock_gettime(THREAD_CPUTIME, &mut t) };
    t.seconds as f64 + t.nanoseconds as f64 * 1e-9
}

#[cfg(not(target_os = "linux"))]
fn now() -> f64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// GFLOP/s of multiply-adds in registers.
fn peak() -> f64 {
    const ROUNDS: usize = 5_000_000;
    let start = now();
    let flop = ggml_ext::peak::spin(ROUNDS);
    flop / (now() - start) / 1e9
}
