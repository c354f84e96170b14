//! Rectangles in pixels of the picture.

/// A rectangle; `x`, `y` is its upper left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) w: f32,
    pub(super) h: f32,
}

impl Rect {
    pub(super) fn new(x: f32, y: f32, w: f32, h: f32) -> Rect {
        Rect { x, y, w, h }
    }

    pub(super) fn right(&self) -> f32 {
        self.x + self.w
    }

    pub(super) fn bottom(&self) -> f32 {
        self.y + self.h
    }

    /// Area shared with another.
    pub(super) fn overlap(&self, other: &Rect) -> f32 {
        let w = self.right().min(other.right()) - self.x.max(other.x);
        let h = self.bottom().min(other.bottom()) - self.y.max(other.y);
        w.max(0.0) * h.max(0.0)
    }

    /// Whether another lies within it, give or take what rounding makes of it.
    #[cfg(test)]
    pub(super) fn contains(&self, inner: &Rect) -> bool {
        const ROUNDING: f32 = 0.01;
        inner.x >= self.x - ROUNDING
            && inner.y >= self.y - ROUNDING
            && inner.right() <= self.right() + ROUNDING
            && inner.bottom() <= self.bottom() + ROUNDING
    }

    /// Moved, by as little as possible, to where it lies in `outer`; the upper left corner wins
    /// where it is larger.
    pub(super) fn moved_into(self, outer: &Rect) -> Rect {
        let x = self.x.min(outer.right() - self.w).max(outer.x);
        let y = self.y.min(outer.bottom() - self.h).max(outer.y);
        Rect { x, y, ..self }
    }

    /// Smaller by `by` on every side, but never inside out.
    pub(super) fn inset(self, by: f32) -> Rect {
        let (dx, dy) = (by.min(self.w / 2.0), by.min(self.h / 2.0));
        Rect::new(self.x + dx, self.y + dy, self.w - 2.0 * dx, self.h - 2.0 * dy)
    }
}
