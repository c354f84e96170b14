//! AMX: products of small matrices ("tiles") in one instruction.
//!
//! A tile has up to sixteen rows of 64 bytes. A product adds to a tile of sums, of sixteen columns each, for each row of `a` and
//! each column of `b` the products of groups of four bytes (or two `bf16`s): `b` has such a group of sixteen columns in a row.
//! The compiler uses no tiles, so what an instruction leaves in them is there for the next one.

use super::lanes::Task;
use super::lanes::x86::Avx512;
use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;
/// Bytes of a row.
pub(crate) const ROW: usize = 64;

/// Tiles of rows of a matrix that columns pass by together, at most: columns then come from a far cache less often.
pub(crate) const MAX_PANELS: usize = 8;

/// The same for a matrix of `n_out` rows: several times as many for each thread, so that all work until the end.
pub(crate) fn panels(n_out: usize, n_threads: usize) -> usize {
    let mut n = MAX_PANELS;
    while n > 1 && n_out < 4 * n_threads * n * ROWS {
        n /= 2;
    }
    n
}

/// Whether the processor has AMX for bytes and `bf16`, and the system lets this process use it.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| processor_has_it() && system_lets_us())
}

fn processor_has_it() -> bool {
    /// Of leaf 7: `bf16`, tiles, bytes.
    const TILES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    let vectors = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    vectors && __cpuid_count(7, 0).edx & TILES == TILES && are_saved()
}

/// Whether the system keeps tiles for a thread that does not run.
fn are_saved() -> bool {
    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: there is a register 0 wherever there is the instruction.
        unsafe { _xgetbv(0) }
    }
    /// Configuration and data of tiles.
    const TILES: u64 = 3 << 17;
    // SAFETY: where there is AVX-512, systems have turned the instruction on.
    unsafe { saved() & TILES == TILES }
}

/// Asks Linux for what makes the state of a thread larger by 8 KB.
#[cfg(target_os = "linux")]
fn system_lets_us() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: the call takes two numbers; it grants this process something, or refuses.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn system_lets_us() -> bool {
    false
}

/// Runs a task with AVX-512 enabled, as processors with AMX have it.
///
/// # Safety
/// AMX is available; and what the task asks for.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) unsafe fn call<T: Task<Avx512>>(task: T) {
    // SAFETY: the caller's word.
    unsafe { task.run() }
}

/// Sizes of a thread's eight tiles.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Config {
    const NONE: Config =
        Config { palette: 0, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
}

/// Sizes of the tiles that the kernels here use.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Rows of `a` and of sums, at most [`ROWS`], and not none.
    pub(crate) rows: usize,
    /// Bytes of a row of `a`, a multiple of four, at most [`ROW`], and not none: four times as many as `b` has rows.
    pub(crate) bytes: usize,
}

/// A thread's tiles have sizes, and what is in them is this thread's own. It gets back the sizes that it had, since ggml sets its own
/// once for each thread.
pub(crate) struct Tiles {
    before: Config,
    /// The tiles are those of the thread that it was made on.
    thread: PhantomData<*const ()>,
}

impl Tiles {
    /// # Safety
    /// AMX is available.
    pub(crate) unsafe fn new(sizes: Sizes) -> Tiles {
        let Sizes { rows, bytes } = sizes;
        assert!((1..=ROWS).contains(&rows) && (4..=ROW).contains(&bytes) && bytes % 4 == 0);
        let mut config = Config { palette: 1, ..Config::NONE };
        for tile in 0..8 {
            // Sums are 0 to 3, then two of `a` and two of `b`.
            let (n_rows, n_bytes) = match tile {
                0..4 => (rows, ROW),
                4 | 5 => (rows, bytes),
                _ => (bytes / 4, ROW),
            };
            config.rows[tile] = n_rows as u8;
            config.bytes[tile] = n_bytes as u16;
        }
        let mut before = Config::NONE;
        // SAFETY: both are of 64 bytes; the sizes are ones that the instruction takes. What is in tiles is lost, and nobody counts on it:
        // ggml, too, keeps nothing in them between its nodes.
        unsafe {
            asm!("sttilecfg [{}]", in(reg) &raw mut before, options(nostack, preserves_flags));
            asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, preserves_flags));
        }
        Tiles { before, thread: PhantomData }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as the instruction left them, of this thread.
        unsafe {
            let before = &raw const self.before;
            asm!("ldtilecfg [{}]", in(reg) before, options(nostack, preserves_flags));
        }
    }
}

/// Sums, as the instruction leaves them: of each row of `a`, one for each column of `b`.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Sums<T>(pub(crate) [[T; ROWS]; ROWS]);

/// A tile in memory.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Tile(pub(crate) [[u8; ROW]; ROWS]);

/// Sets a tile of sums to zero.
///
/// # Safety
/// The thread has [`Tiles`].
#[inline(always)]
pub(crate) unsafe fn zero<const SUMS: u8>() {
    // SAFETY: the compiler uses no tiles.
    unsafe { asm!("tilezero tmm{}", const SUMS, options(nomem, nostack, preserves_flags)) }
}

/// Loads a tile, whose rows are `stride` bytes apart.
///
/// # Safety
/// The thread has [`Tiles`]; as much as a tile's sizes say can be read.
#[inline(always)]
pub(crate) unsafe fn load<const TILE: u8>(from: *const u8, stride: usize) {
    // SAFETY: the caller's word.
    unsafe {
        asm!("tileloadd tmm{tile}, [{from} + {stride}]", tile = const TILE, from = in(reg) from,
             stride = in(reg) stride, options(readonly, nostack, preserves_flags));
    }
}

/// Stores a tile of sums.
///
/// # Safety
/// The thread has [`Tiles`], which have sums of the type.
#[inline(always)]
pub(crate) unsafe fn store<const SUMS: u8, T>(to: &mut Sums<T>) {
    const { assert!(size_of::<T>() == 4) };
    // SAFETY: there is room for sixteen rows.
    unsafe {
        asm!("tilestored [{to} + {row}], tmm{tile}", tile = const SUMS, to = in(reg) to,
             row = in(reg) ROW, options(nostack, preserves_flags));
    }
}

macro_rules! products {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The thread has [`Tiles`].
        #[inline(always)]
        pub(crate) unsafe fn $name<const SUMS: u8, const A: u8, const B: u8>() {
            // SAFETY: the compiler uses no tiles.
            unsafe {
                asm!(concat!($instruction, " tmm{}, tmm{}, tmm{}"), const SUMS, const A, const B,
                     options(nomem, nostack, preserves_flags));
            }
        }
    };
}

products!(
    /// Adds products of signed bytes.
    add_signed, "tdpbssd");
products!(
    /// Adds products of signed bytes, and bytes without a sign.
    add_unsigned, "tdpbsud");
products!(
    /// Adds products of `bf16`s, in single precision.
    add_floats, "tdpbf16ps");

#[cfg(test)]
mod tests {
    use super::*;

    /// Reproducible bytes.
    fn noise(seed: u32) -> Tile {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        Tile(std::array::from_fn(|_| std::array::from_fn(|_| next())))
    }

    #[test]
    fn a_thread_gets_its_sizes_back_and_multiplies() {
        if !is_available() {
            return;
        }
        let (a, b) = (noise(1), noise(2));
        let mut sums = Sums([[0i32; ROWS]; ROWS]);
        // SAFETY: AMX is available; tiles are as large as the sizes say.
        unsafe {
            let _tiles = Tiles::new(Sizes { rows: ROWS, bytes: ROW });
            drop(Tiles::new(Sizes { rows: 3, bytes: 8 }));
            zero::<0>();
            load::<4>(a.0.as_ptr().cast(), ROW);
            load::<6>(b.0.as_ptr().cast(), ROW);
            add_unsigned::<0, 4, 6>();
            add_signed::<0, 4, 6>();
            store::<0, _>(&mut sums);
        }
        for (i, j) in (0..ROWS * ROWS).map(|at| (at / ROWS, at % ROWS)) {
            let product = |k: usize| {
                let (a, b) = (a.0[i][k] as i8, b.0[k / 4][4 * j + k % 4]);
                i32::from(a) * (i32::from(b) + i32::from(b as i8))
            };
            assert_eq!(sums.0[i][j], (0..ROW).map(product).sum::<i32>(), "{i}, {j}");
        }
    }
}
