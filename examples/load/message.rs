use slipring::{IpcMessage, Latest};

/// How busy this machine is.
#[derive(IpcMessage, Clone, Copy)]
#[repr(C)]
pub(crate) struct Load {
    /// Share of all processors' time that was spent on something since the sample before, 0 to 1.
    pub(crate) busy: f64,
    /// Processes that run or could.
    pub(crate) runnable: u64,
    /// Memory that programs could still have.
    pub(crate) available_kib: u64,
}

pub(crate) fn channel() -> Latest<Load> {
    Latest::new("load")
}
