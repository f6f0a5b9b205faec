//! What the derive writes, where no other test can see it.
