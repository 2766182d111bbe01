//! Which cores the shards get, and which are left for the built-in target.
//!
//! What it is: arithmetic on core numbers. What it is not: pinning; each thread pins itself.

use plan::Cores;

/// The cores of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    /// For the shards.
    pub engine: Vec<usize>,
    /// For the built-in target; empty without one.
    pub target: Vec<usize>,
    /// The target and the shards stand on the same cores.
    pub shared: bool,
}

/// Divides the cores that this process may use, `allowed`, as `asked`.
pub fn divide(asked: &Cores, allowed: &[usize], builtin: bool) -> Division {
    let engine: Vec<usize> = match asked {
        // The first cores tend to serve the machine's interrupts: the target gets those.
        Cores::All if builtin && allowed.len() > 1 => allowed[allowed.len() / 2..].to_vec(),
        Cores::All => allowed.to_vec(),
        Cores::Count(count) => {
            let skipped = allowed.len().saturating_sub(usize::from(*count));
            allowed[skipped..].to_vec()
        }
        Cores::List(list) => list.iter().map(|&core| usize::from(core)).collect(),
    };
    let left: Vec<usize> = allowed.iter().copied().filter(|core| !engine.contains(core)).collect();
    if !builtin {
        return Division { engine, target: Vec::new(), shared: false };
    }
    if left.is_empty() {
        return Division { target: engine.clone(), engine, shared: true };
    }
    Division { engine, target: left, shared: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_target_gets_cores_of_its_own_where_there_are_any() {
        let row = |asked: Cores, allowed: &[usize], engine: &[usize], target: &[usize]| {
            let division = divide(&asked, allowed, true);
            assert_eq!(division.engine, engine, "{asked:?}");
            assert_eq!(division.target, target, "{asked:?}");
            assert_eq!(division.shared, engine == target, "{asked:?}");
        };
        row(Cores::All, &[0, 1], &[1], &[0]);
        row(Cores::All, &[0, 1, 2], &[1, 2], &[0]);
        row(Cores::All, &[5], &[5], &[5]);
        row(Cores::Count(1), &[0, 1, 2, 3], &[3], &[0, 1, 2]);
        row(Cores::Count(2), &[0, 1], &[0, 1], &[0, 1]);
        row(Cores::List(vec![0]), &[0, 1], &[0], &[1]);
    }

    #[test]
    fn without_a_builtin_target_the_shards_get_all_that_was_asked_for() {
        assert_eq!(divide(&Cores::All, &[0, 1], false).engine, [0, 1]);
        assert_eq!(divide(&Cores::Count(1), &[0, 1], false).engine, [1]);
    }
}
