//! Finding for each field or variant of one type its counterpart in another.

use std::collections::BTreeMap;

/// What has a name.
pub(super) trait Named {
    fn name(&self) -> &str;
}

/// An item and its counterpart.
pub(super) enum Pair<'a, T> {
    /// Both types have it.
    Both(&'a T, &'a T),
    /// Both types have it under different names.
    Renamed(&'a T, &'a T),
    /// Only ours has it.
    Ours(&'a T),
    /// Only theirs has it.
    Theirs(&'a T),
}

/// Pairs items by name, and what then remains by being `alike`: ours in their order, then what only theirs have.
pub(super) fn pairs<'a, T: Named>(ours: &'a [T], theirs: &'a [T], alike: impl Fn(&T, &T) -> bool) -> Vec<Pair<'a, T>> {
    let our_names: BTreeMap<&str, &T> = ours.iter().map(|our| (our.name(), our)).collect();
    let their_names: BTreeMap<&str, &T> = theirs.iter().map(|their| (their.name(), their)).collect();
    let mut remaining: Vec<&T> = theirs.iter().filter(|their| !our_names.contains_key(their.name())).collect();
    let mut pairs = Vec::with_capacity(ours.len());
    for our in ours {
        let pair = if let Some(their) = their_names.get(our.name()) {
            Pair::Both(our, their)
        } else if let Some(at) = remaining.iter().position(|their| alike(our, their)) {
            Pair::Renamed(our, remaining.remove(at))
        } else {
            Pair::Ours(our)
        };
        pairs.push(pair);
    }
    pairs.extend(remaining.into_iter().map(Pair::Theirs));
    pairs
}
