//! In which order the cells of a cache were filled.
//!
//! llama.cpp puts what is new wherever cells are free, so that what belongs to one text may lie in any order. It was
//! written in its own, however.

use crate::sys;

/// A record of what was written when.
#[derive(Default)]
pub(super) struct Filling {
    /// Address of the tensor that is watched, the first of the cache's: all are written alike.
    cache: usize,
    /// When each cell was written last.
    written: Vec<u64>,
    clock: u64,
    /// All cells, in the order in which they were written; and when and of how many that was found out.
    order: Vec<u32>,
    sorted: (u64, usize),
    /// Whether that is how they lie.
    is_plain: bool,
}

impl Filling {
    /// Learns from a node `SET_ROWS` which cells it is going to write.
    ///
    /// # Safety
    /// The node and its sources are alive, and the numbers of the rows are set.
    pub(super) unsafe fn write(&mut self, node: *const sys::ggml_tensor) {
        // SAFETY: the caller's node; its second source holds numbers of rows, 64 bits each, in a row.
        unsafe {
            let (cache, rows) = ((*node).view_src, (*node).src[1]);
            let is_given =
                |t: *const sys::ggml_tensor| !t.is_null() && (*t).op == sys::GGML_OP_NONE;
            let readable = (*rows).type_ == sys::GGML_TYPE_I64 && sys::ggml_is_contiguous(rows);
            // Others are results of the same graph.
            if !is_given(cache) || !is_given(rows) || !readable || (*rows).data.is_null() {
                return;
            }
            let address = (*cache).data.addr();
            if self.cache == 0 {
                self.cache = address;
            }
            if address != self.cache {
                return;
            }
            let n = sys::ggml_nelements(rows) as usize;
            for &row in std::slice::from_raw_parts((*rows).data.cast::<i64>(), n) {
                self.note(row as usize, (*node).ne[1] as usize);
            }
        }
    }

    fn note(&mut self, cell: usize, n_cells: usize) {
        if cell < n_cells {
            let len = self.written.len().max(n_cells);
            self.written.resize(len, 0);
            self.clock += 1;
            self.written[cell] = self.clock;
        }
    }

    /// Makes [`Filling::order`] that of the first `n` cells.
    pub(super) fn sort(&mut self, n: usize) {
        if self.sorted == (self.clock, n) {
            return;
        }
        self.sorted = (self.clock, n);
        self.order.clear();
        self.order.extend(0..n as u32);
        // Those that were never written are the last.
        let written = |&cell: &u32| match self.written.get(cell as usize) {
            None | Some(0) => u64::MAX,
            Some(&when) => when,
        };
        self.is_plain = self.order.is_sorted_by_key(written);
        self.order.sort_by_key(written);
    }

    /// All of `n` cells, in the order in which they were written; `None` if that is how they lie, or nothing is known.
    pub(super) fn order(&self, n: usize) -> Option<&[u32]> {
        (!self.is_plain && self.order.len() == n).then_some(&self.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(cells: &[usize]) -> Filling {
        let mut filling = Filling::default();
        cells.iter().for_each(|&cell| filling.note(cell, 8));
        filling
    }

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(Filling::default().order(4), None);
        let mut filling = Filling::default();
        filling.sort(4);
        assert_eq!(filling.order(4), None);
    }

    #[test]
    fn the_oldest_is_first() {
        let mut filling = filled(&[0, 1, 2, 3]);
        filling.sort(4);
        assert_eq!(filling.order(4), None, "as they lie");
        filling.note(1, 8);
        filling.sort(4);
        assert_eq!(filling.order(4), Some(&[0, 2, 3, 1][..]));
        assert_eq!(filling.order(3), None, "of others");
        filling.sort(6);
        assert_eq!(filling.order(6), Some(&[0, 2, 3, 1, 4, 5][..]));
    }

    #[test]
    fn cells_that_do_not_exist_are_not_noted() {
        let mut filling = filled(&[3, 2, 99, usize::MAX]);
        filling.sort(8);
        assert_eq!(filling.order(8), Some(&[3, 2, 0, 1, 4, 5, 6, 7][..]));
    }
}
