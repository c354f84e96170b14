//! Rows and columns, for a terminal or a model card.

/// A table; the first column is the rows' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// As many cells a row as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Aligned columns: names to the left, figures to the right.
    pub fn text(&self) -> String {
        let lines = self.padded().map(|cells| cells.join("  "));
        lines.map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// A table in Markdown.
    pub fn markdown(&self) -> String {
        let mut lines: Vec<_> =
            self.padded().map(|cells| format!("| {} |\n", cells.join(" | "))).collect();
        let widths = self.widths();
        let rule = |(i, width): (usize, &usize)| match i {
            0 => "-".repeat(*width),
            _ => "-".repeat(width - 1) + ":",
        };
        let rules: Vec<_> = widths.iter().enumerate().map(rule).collect();
        lines.insert(1, format!("| {} |\n", rules.join(" | ")));
        lines.concat()
    }

    fn all(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.header).chain(&self.rows)
    }

    /// Width of each column, at least two: a rule of Markdown has a dash and a colon.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![2; self.header.len()];
        for row in self.all() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }

    fn padded(&self) -> impl Iterator<Item = Vec<String>> {
        let widths = self.widths();
        self.all().map(move |row| {
            let cells = row.iter().zip(&widths).enumerate();
            let pad = |(i, (cell, &width)): (usize, (&String, &usize))| match i {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            };
            cells.map(pad).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        Table {
            header: row(["", "n", "q8_0"]),
            rows: vec![row(["scène", "12", "7"]), row(["x", "3", ""])],
        }
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(table().text(), "        n  q8_0\nscène  12     7\nx       3\n");
    }

    #[test]
    fn markdown_has_a_rule_below_the_header() {
        let expected = "|       |  n | q8_0 |\n| ----- | -: | ---: |\n\
                        | scène | 12 |    7 |\n| x     |  3 |      |\n";
        assert_eq!(table().markdown(), expected);
    }
}
