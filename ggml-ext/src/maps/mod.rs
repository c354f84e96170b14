//! Feature maps of several levels, or of several regions, in the layout that suits the backend.
//!
//! On the CPU the maps are one tensor with the channels fastest, for kernels of ours: convolutions
//! that make use of how the maps came about, and one pass over the data for GroupNorm, ReLU and the exchange of
//! channels. Elsewhere each map is a tensor `[W, H, C]` and everything is made of ggml's own nodes
//! (`planes`, `separable`), which is also what the kernels are tested against.
//!
//! Nothing is computed before it is needed: upsampled maps that are convolved, and norms that are followed
//! by an exchange, never exist by themselves.

mod convolve;
mod mix;
mod mosaic;
mod pack;
mod planes;
mod pooled;
mod separable;
mod upsampled;

use crate::graph::Builder;
use crate::tensor::Tensor;
use crate::weights::TensorSet;
use crate::winograd::Moments;
use crate::{Backend, Result};
use convolve::Convolved;
pub(crate) use mosaic::Mosaic;
pub(crate) use pooled::Pooled;
pub use pooled::n_products_of_pooled;
use std::cell::UnsafeCell;
use std::sync::Arc;
use upsampled::Upsampled;

/// Maps under construction: all of one number of channels.
#[derive(Clone)]
pub struct Maps<'g> {
    /// Width and height of each.
    sides: Vec<[usize; 2]>,
    n_channels: usize,
    data: Data<'g>,
}

#[derive(Clone)]
enum Data<'g> {
    /// `[W, H, C]` each.
    Planes(Vec<Tensor<'g>>),
    /// `[W, H, C, n]`: maps of one size.
    Batch(Tensor<'g>),
    /// `[C, pixels]`: one map after the other.
    Packed(Tensor<'g>),
    /// `[C, pixels]` of a mosaic.
    Mosaic(Mosaic, Tensor<'g>),
    /// A mosaic of regions, which is made when it is needed.
    Pooled(Pooled<'g>),
    /// Packed, with statistics.
    Convolved(Convolved<'g>),
    /// Packed, to be normalised.
    Normed(Convolved<'g>, GroupNorm<'g>),
    Upsampled(Upsampled<'g>),
}

/// Some channels of a level, which are resized (bilinear, aligned corners) to the level that they become a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where they come from.
    pub level: usize,
    /// The first of them.
    pub first: usize,
    /// How many.
    pub n: usize,
}

/// GroupNorm: groups of consecutive channels, biased variance, then a scale and a bias (`[C]`).
#[derive(Clone, Copy)]
pub struct GroupNorm<'g> {
    /// How many groups.
    pub n_groups: usize,
    /// `[C]`
    pub scale: Tensor<'g>,
    /// `[C]`
    pub bias: Tensor<'g>,
    /// Added to the variance.
    pub eps: f32,
}

/// Statistics that one node leaves for another.
struct SharedMoments(Box<[UnsafeCell<Moments>]>);

// SAFETY: written only by the runs of the node that makes the maps, and read only by those of nodes that
// take the maps as a source, hence later.
unsafe impl Sync for SharedMoments {}

impl SharedMoments {
    fn new(n: usize) -> Arc<SharedMoments> {
        Arc::new(SharedMoments(std::iter::repeat_with(UnsafeCell::default).take(n).collect()))
    }

    fn as_ptr(&self) -> *mut [Moments] {
        let first = UnsafeCell::raw_get(self.0.as_ptr());
        std::ptr::slice_from_raw_parts_mut(first, self.0.len())
    }
}

/// Whether maps of that many channels are packed.
fn packs(backend: &Backend, n_channels: usize) -> bool {
    backend.is_cpu() && n_channels.is_multiple_of(4)
}

/// Names and shapes of the tensors that hold maps between graphs, beginning with `name`; see
/// [`Builder::store_maps`].
pub fn stored_shapes(
    backend: &Backend,
    name: &str,
    sides: &[[usize; 2]],
    n_channels: usize,
) -> Vec<(String, Vec<usize>)> {
    if packs(backend, n_channels) {
        let n_pixels = sides.iter().map(|[w, h]| w * h).sum();
        return vec![(name.to_owned(), vec![n_channels, n_pixels])];
    }
    let plane = |(l, &[w, h]): (usize, &[usize; 2])| (level_name(name, l), vec![w, h, n_channels]);
    sides.iter().enumerate().map(plane).collect()
}

fn level_name(name: &str, level: usize) -> String {
    format!("{name}.{level}")
}

impl<'g> Maps<'g> {
    /// Maps `[W, H, C]`.
    pub fn planes(maps: Vec<Tensor<'g>>) -> Maps<'g> {
        let sides = maps.iter().map(|m| [m.ne()[0], m.ne()[1]]).collect();
        Maps { sides, n_channels: maps.first().map_or(0, |m| m.ne()[2]), data: Data::Planes(maps) }
    }

    /// Maps of one size, `[W, H, C, n]`.
    pub fn batch(maps: Tensor<'g>) -> Maps<'g> {
        let [w, h, n_channels, n] = maps.ne();
        Maps { sides: vec![[w, h]; n], n_channels, data: Data::Batch(maps) }
    }

    /// `[C, pixels]`, one map after the other.
    fn packed(maps: Tensor<'g>, sides: Vec<[usize; 2]>) -> Maps<'g> {
        Maps { sides, n_channels: maps.ne()[0], data: Data::Packed(maps) }
    }

    /// Width and height of each.
    pub fn sides(&self) -> &[[usize; 2]] {
        &self.sides
    }

    /// Number of maps.
    pub fn len(&self) -> usize {
        self.sides.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sides.is_empty()
    }

    /// Pixel that map `i` begins with, and number of its pixels, in the packed layout.
    fn pixels(&self, i: usize) -> [usize; 2] {
        let area = |[w, h]: &[usize; 2]| w * h;
        [self.sides[..i].iter().map(area).sum(), area(&self.sides[i])]
    }

    /// Number of pixels of all maps.
    fn n_pixels(&self) -> usize {
        self.sides.iter().map(|[w, h]| w * h).sum()
    }
}

impl<'g> Builder<'g> {
    /// Maps of the given sides, each upsampled (bilinear, aligned corners) from a grid `[C, gw * gh]`.
    pub fn upsampled(
        &self,
        grids: &[Tensor<'g>],
        grid: [usize; 2],
        sides: &[[usize; 2]],
    ) -> Maps<'g> {
        let n_channels = grids.first().map_or(0, |t| t.ne()[0]);
        let data = Data::Upsampled(Upsampled::new(grids, grid));
        Maps { sides: sides.to_vec(), n_channels, data }
    }

    /// Maps whose channels are parts of these, `parts` for each level.
    ///
    /// # Panics
    /// If a part does not exist, or there are not as many lists as levels.
    pub fn exchanged(&self, maps: &Maps<'g>, parts: Vec<Vec<Part>>) -> Maps<'g> {
        assert_eq!(parts.len(), maps.len(), "parts for every level");
        let exists = |p: &Part| p.level < maps.len() && p.first + p.n <= maps.n_channels;
        assert!(parts.iter().flatten().all(exists), "parts of maps that exist");
        let n_channels = parts.first().map_or(0, |p| p.iter().map(|p| p.n).sum());
        let data = match &maps.data {
            Data::Upsampled(u) if u.is_whole() => Data::Upsampled(u.exchanged(parts)),
            Data::Normed(of, norm) if n_channels.is_multiple_of(4) => {
                Data::Packed(self.normed_and_mixed(of, norm, maps, parts))
            }
            _ => Data::Planes(self.exchange_planes(&self.to_planes(maps), &parts)),
        };
        Maps { sides: maps.sides.clone(), n_channels, data }
    }

    /// Convolves all maps with one kernel `[3, 3, Cin, Cout]` (`[Cout, Cin, 3, 3]`), stride and padding 1,
    /// without bias.
    ///
    /// # Errors
    /// [`crate::Error::Create`] if there is no memory for scratch space.
    pub fn conv_3x3(&self, maps: &Maps<'g>, kernel: Tensor<'g>) -> Result<Maps<'g>> {
        self.conv_3x3_onto(maps, kernel, None)
    }

    /// As [`Builder::conv_3x3`], added to maps of the result's sizes.
    ///
    /// # Errors
    /// As for [`Builder::conv_3x3`].
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn conv_3x3_onto(
        &self,
        maps: &Maps<'g>,
        kernel: Tensor<'g>,
        onto: Option<&Maps<'g>>,
    ) -> Result<Maps<'g>> {
        if maps.is_empty() {
            return Ok(maps.clone());
        }
        let n_channels = kernel.ne()[3];
        if let Some(onto) = onto {
            let same = onto.sides == maps.sides && onto.n_channels == n_channels;
            assert!(same, "maps of the same size");
            if let Some((mosaic, sum)) = self.as_mosaic(onto)
                && let Some(sum) = self.conv_to_mosaic(maps, kernel, Some((mosaic, sum)))?
            {
                return Ok(Maps::mosaic(mosaic, sum));
            }
            let convolved = self.conv_3x3(maps, kernel)?;
            return Ok(Maps::batch(self.add(self.to_batch(onto), self.to_batch(&convolved))));
        }
        let convolved = match &maps.data {
            Data::Upsampled(u) if packs(self.backend, maps.n_channels) => {
                self.conv_of_upsampled(u, &maps.sides, kernel).map(Data::Convolved)
            }
            Data::Upsampled(u) => self.conv_of_grids(u, &maps.sides, kernel)?.map(Data::Planes),
            Data::Planes(planes) => Some(Data::Planes(self.conv_of_planes(planes, kernel))),
            _ => None,
        };
        let data = match (&maps.data, convolved) {
            (_, Some(convolved)) => convolved,
            (&Data::Batch(batch), None) => Data::Batch(self.conv_2d(batch, kernel, 1, 1)),
            (&(Data::Mosaic(mosaic, _) | Data::Pooled(Pooled { mosaic, .. })), None) => {
                match self.conv_to_mosaic(maps, kernel, None)? {
                    Some(convolved) => Data::Mosaic(mosaic, convolved),
                    None => Data::Batch(self.conv_2d(self.to_batch(maps), kernel, 1, 1)),
                }
            }
            _ => match self.winograd(self.to_packed(maps), &maps.sides, kernel, None)? {
                Some(convolved) => Data::Convolved(convolved),
                None => Data::Planes(self.conv_of_planes(&self.to_planes(maps), kernel)),
            },
        };
        Ok(Maps { sides: maps.sides.clone(), n_channels, data })
    }

    /// Maps of a mosaic convolved, added to one of the same layout. `None` if they are others, or the kernel is not one for this.
    fn conv_to_mosaic(
        &self,
        maps: &Maps<'g>,
        kernel: Tensor<'g>,
        onto: Option<(Mosaic, Tensor<'g>)>,
    ) -> Result<Option<Tensor<'g>>> {
        let sum = onto.map(|(_, sum)| sum);
        if let Data::Pooled(pooled) = &maps.data
            && onto.is_none_or(|(m, _)| m == pooled.mosaic)
            && let Some(convolved) = self.conv_of_pooled(pooled, kernel, sum)?
        {
            return Ok(Some(convolved));
        }
        match self.as_mosaic(maps) {
            Some((mosaic, whole)) if onto.is_none_or(|(m, _)| m == mosaic) => {
                let convolved = self.winograd(whole, &[mosaic.sides()], kernel, sum)?;
                Ok(convolved.map(|c| c.values))
            }
            _ => Ok(None),
        }
    }

    /// The mosaic that maps are in, if they are.
    fn as_mosaic(&self, maps: &Maps<'g>) -> Option<(Mosaic, Tensor<'g>)> {
        match &maps.data {
            &Data::Mosaic(mosaic, whole) => Some((mosaic, whole)),
            Data::Pooled(pooled) => Some((pooled.mosaic, self.pool(pooled))),
            _ => None,
        }
    }

    /// max(GroupNorm, 0) of every map by itself.
    ///
    /// # Panics
    /// If the channels do not make that many groups.
    pub fn group_norm_relu(&self, maps: &Maps<'g>, norm: GroupNorm<'g>) -> Maps<'g> {
        assert!(maps.n_channels.is_multiple_of(norm.n_groups), "groups of equal size");
        let data = match &maps.data {
            Data::Convolved(convolved) => Data::Normed(convolved.clone(), norm),
            _ => {
                let normed = |map| {
                    let GroupNorm { n_groups, scale, bias, eps } = norm;
                    self.expand(self.relu(self.group_norm(map, n_groups, scale, bias, eps)))
                };
                Data::Planes(self.to_planes(maps).into_iter().map(normed).collect())
            }
        };
        Maps { data, ..maps.clone() }
    }

    /// max(maps + bias, 0), `[W, H, C, n]`, of `n` maps of one size; `bias` is `[C]`.
    pub fn bias_relu(&self, maps: &Maps<'g>, bias: Tensor<'g>) -> Tensor<'g> {
        if let Some((mosaic, whole)) = self.as_mosaic(maps) {
            return self.take_out(mosaic, whole, Some(bias));
        }
        let bias = self.reshape(bias, &[1, 1, bias.ne()[0]]);
        self.relu(self.add(self.to_batch(maps), bias))
    }

    /// Has the graph compute the maps, though nobody reads them.
    pub fn need_maps(&self, maps: &Maps<'g>) {
        let tensors = match &maps.data {
            Data::Planes(_) | Data::Upsampled(_) => self.to_planes(maps),
            Data::Batch(one) | Data::Mosaic(_, one) => vec![*one],
            Data::Pooled(pooled) => vec![self.pool(pooled)],
            _ => vec![self.to_packed(maps)],
        };
        for t in tensors {
            self.output(t, "needed");
        }
    }

    /// Every map as `[W, H, C]`.
    pub fn to_planes(&self, maps: &Maps<'g>) -> Vec<Tensor<'g>> {
        match &maps.data {
            Data::Planes(planes) => planes.clone(),
            Data::Batch(_) | Data::Mosaic(..) | Data::Pooled(_) => {
                let batch = self.to_batch(maps);
                let map = |i| {
                    let [w, h, c, _] = batch.ne();
                    self.reshape(self.slice(batch, 3, i, 1), &[w, h, c])
                };
                (0..maps.len()).map(map).collect()
            }
            Data::Upsampled(u) => self.upsample(u, &maps.sides),
            Data::Normed(..) => {
                let packed = Maps::packed(self.to_packed(maps), maps.sides.clone());
                self.to_planes(&packed)
            }
            _ => (0..maps.len()).map(|i| self.plane(maps, i)).collect(),
        }
    }

    /// Maps of one size as `[W, H, C, n]`.
    ///
    /// # Panics
    /// If there are none, or their sizes differ.
    pub fn to_batch(&self, maps: &Maps<'g>) -> Tensor<'g> {
        let [w, h] = maps.sides[0];
        assert!(maps.sides.iter().all(|s| *s == [w, h]), "maps of one size");
        match &maps.data {
            Data::Batch(batch) => *batch,
            &Data::Mosaic(mosaic, whole) => self.take_out(mosaic, whole, None),
            Data::Pooled(pooled) => self.take_out(pooled.mosaic, self.pool(pooled), None),
            Data::Planes(planes) => {
                let joined = planes.iter().copied().reduce(|a, b| self.concat(a, b, 3));
                joined.unwrap_or(planes[0])
            }
            _ => {
                let (c, n) = (maps.n_channels, maps.len());
                let packed = self.reshape(self.to_packed(maps), &[c, w * h, n]);
                let planes = self.cont(self.permute(packed, [1, 0, 2, 3]));
                self.reshape(planes, &[w, h, c, n])
            }
        }
    }

    /// Map `i` as `[C, pixels]`, on the CPU.
    pub(crate) fn packed_map(&self, maps: &Maps<'g>, i: usize) -> Tensor<'g> {
        let [first, n] = maps.pixels(i);
        self.slice(self.to_packed(maps), 1, first, n)
    }

    fn plane(&self, maps: &Maps<'g>, i: usize) -> Tensor<'g> {
        let ([w, h], pixels) = (maps.sides[i], self.packed_map(maps, i));
        let plane = self.cont(self.permute(pixels, [1, 0, 2, 3]));
        self.reshape(plane, &[w, h, maps.n_channels])
    }

    /// `[C, pixels]`, on the CPU.
    fn to_packed(&self, maps: &Maps<'g>) -> Tensor<'g> {
        match &maps.data {
            Data::Packed(packed) => *packed,
            Data::Convolved(convolved) => convolved.values,
            Data::Normed(of, norm) => {
                let own = |level| vec![Part { level, first: 0, n: maps.n_channels }];
                self.normed_and_mixed(of, norm, maps, (0..maps.len()).map(own).collect())
            }
            _ => {
                let pixels = |map: Tensor<'g>| {
                    let [w, h, c, _] = map.ne();
                    let flat = self.reshape(map, &[w * h, c]);
                    self.cont(self.permute(flat, [1, 0, 2, 3]))
                };
                let all = self.to_planes(maps).into_iter().map(pixels);
                all.reduce(|a, b| self.concat(a, b, 1)).expect("maps that exist")
            }
        }
    }

    /// Copies the maps into the tensors of `set` that [`stored_shapes`] describes. `None` if one is missing,
    /// or cannot be written.
    pub fn store_maps(&self, maps: &Maps<'g>, set: &Arc<TensorSet>, name: &str) -> Option<()> {
        if packs(self.backend, maps.n_channels) {
            return self.store(self.to_packed(maps), set, name);
        }
        let mut planes = self.to_planes(maps).into_iter().enumerate();
        planes.try_for_each(|(l, map)| self.store(map, set, &level_name(name, l)))
    }

    /// Lends the graph the tensors of `set` that [`stored_shapes`] describes, to write anything into while it runs: what
    /// [`Builder::conv_3x3`] makes of maps of the same sizes is kept there instead of in memory of the graph's own. `None` if
    /// one is missing, or cannot be written.
    ///
    /// The maps of one convolution are lost with the next, so nothing else may be made of them after that.
    pub fn lend_maps(
        &self,
        set: &Arc<TensorSet>,
        name: &str,
        n_levels: usize,
        n_channels: usize,
    ) -> Option<()> {
        if packs(self.backend, n_channels) {
            return self.lend(set, name);
        }
        (0..n_levels).try_for_each(|l| self.lend(set, &level_name(name, l)))
    }

    /// The maps that [`Builder::store_maps`] left in `set`. `None` if they are not there.
    pub fn stored_maps(
        &self,
        set: &Arc<TensorSet>,
        name: &str,
        sides: &[[usize; 2]],
        n_channels: usize,
    ) -> Option<Maps<'g>> {
        let data = if packs(self.backend, n_channels) {
            Data::Packed(self.tensor(set, name)?)
        } else {
            let plane = |l| self.tensor(set, &level_name(name, l));
            Data::Planes((0..sides.len()).map(plane).collect::<Option<_>>()?)
        };
        Some(Maps { sides: sides.to_vec(), n_channels, data })
    }
}
