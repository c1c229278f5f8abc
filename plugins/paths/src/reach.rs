//! What can be reached from something by one step after the other.

use std::collections::HashSet;
use std::hash::Hash;

/// More than any package of a distribution depends on.
const MOST: usize = 5000;

/// All that `next` leads to from these, directly or through others, without these; at most 5,000.
pub fn reached<K: Clone + Eq + Hash, E>(
    from: Vec<K>,
    mut next: impl FnMut(&K) -> Result<Vec<K>, E>,
) -> Result<Vec<K>, E> {
    let mut met: HashSet<K> = from.iter().cloned().collect();
    let (mut queue, mut found) = (from, Vec::new());
    while let Some(one) = queue.pop() {
        for other in next(&one)? {
            if found.len() < MOST && met.insert(other.clone()) {
                found.push(other.clone());
                queue.push(other);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn circles_end_and_an_endless_chain_is_cut() {
        let circle = |one: &u32| Ok::<_, Infallible>(vec![(one + 1) % 4, *one]);
        assert_eq!(reached(vec![2], circle), Ok(vec![3, 0, 1]));
        let chain = |one: &u32| Ok::<_, Infallible>(vec![one + 1]);
        assert_eq!(reached(vec![0], chain).map(|found| found.len()), Ok(MOST));
        assert_eq!(reached(vec![0], |_| Err("broken")), Err("broken"));
    }
}
