//! Large arrays.

/// Arrays from this size on are asked for in large pages.
const LARGE: usize = 4 << 20;

/// `n` zeros, in large pages if it is many and the system has such: it then takes one interruption for each 2 MB that are
/// first written to, instead of 512.
pub fn zeroed(n: usize) -> Vec<u8> {
    let mut all = vec![0; n];
    if n >= LARGE {
        ask_for_large_pages(&mut all);
    }
    all
}

#[cfg(target_os = "linux")]
fn ask_for_large_pages(memory: &mut [u8]) {
    const PAGE: usize = 64 << 10; // the largest of common processors'
    let memory = match memory.as_ptr().align_offset(PAGE) {
        before if before < memory.len() => &mut memory[before..],
        _ => return,
    };
    let len = memory.len() / PAGE * PAGE;
    // SAFETY: whole pages that are borrowed. The advice changes nothing that a program can see, and if it is not taken, that is
    // no error.
    unsafe { libc::madvise(memory.as_mut_ptr().cast(), len, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: &mut [u8]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_zero_and_can_be_written() {
        for n in [0, 1, LARGE - 1, LARGE, LARGE + 77] {
            let mut all = zeroed(n);
            assert_eq!((all.len(), all.iter().any(|&b| b != 0)), (n, false));
            all.fill(7);
            assert!(all.iter().all(|&b| b == 7));
        }
    }
}
