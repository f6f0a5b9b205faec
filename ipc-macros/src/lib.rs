//! `#[derive(IpcMessage)]` for `slipring`.
