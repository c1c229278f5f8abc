//! What of an input could not be understood, told in a few lines however much it is.

/// Most troubles of a kind that are told in full.
const MAX_TOLD: usize = 3;

/// Troubles, counted by their kind.
#[derive(Debug, Default)]
pub struct Troubles(Vec<(&'static str, usize, Vec<String>)>);

impl Troubles {
    /// Counts one more of this kind.
    pub fn add(&mut self, kind: &'static str, what: impl FnOnce() -> String) {
        let at = self.0.iter().position(|(known, ..)| *known == kind).unwrap_or_else(|| {
            self.0.push((kind, 0, Vec::new()));
            self.0.len() - 1
        });
        let (_, count, told) = &mut self.0[at];
        *count += 1;
        if told.len() < MAX_TOLD {
            told.push(what());
        }
    }

    /// A line for each kind, in the order in which they were met.
    pub fn lines(self) -> Vec<String> {
        let line = |(kind, count, told): (&str, usize, Vec<String>)| {
            let more = count - told.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{kind}: {}{more}", told.join(", "))
        };
        self.0.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_one_line_that_shows_the_first_ones_and_counts_the_rest() {
        let mut troubles = Troubles::default();
        for what in ["a", "b", "c", "d", "e"] {
            troubles.add("odd", || what.to_owned());
        }
        troubles.add("long", || "9 bytes".to_owned());
        assert_eq!(troubles.lines(), ["odd: a, b, c and 2 more", "long: 9 bytes"]);
        assert_eq!(Troubles::default().lines(), [""; 0]);
    }
}
