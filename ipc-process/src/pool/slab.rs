//! Values that are known by small numbers.

/// Values that are known by small numbers. A number is used again when its value has been removed.
#[derive(Debug)]
pub(super) struct Slab<V> {
    values: Vec<Option<V>>,
    free: Vec<usize>,
}

impl<V> Slab<V> {
    pub(super) const fn new() -> Self {
        Slab { values: Vec::new(), free: Vec::new() }
    }

    /// Adds a value, and returns its number.
    pub(super) fn insert(&mut self, value: V) -> usize {
        match self.free.pop() {
            Some(at) => {
                self.values[at] = Some(value);
                at
            }
            None => {
                self.values.push(Some(value));
                self.values.len() - 1
            }
        }
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut V> {
        self.values.get_mut(at)?.as_mut()
    }

    pub(super) fn get(&self, at: usize) -> Option<&V> {
        self.values.get(at)?.as_ref()
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<V> {
        let value = self.values.get_mut(at)?.take();
        if value.is_some() {
            self.free.push(at);
        }
        value
    }
}
