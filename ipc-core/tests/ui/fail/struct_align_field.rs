use ipc_macros::IpcMessage;

use ipc_core::message::{Invalid, IpcMessage as Trait};
use ipc_core::schema::Type;

#[repr(C, align(4096))]
struct Page([u8; 4096]);

// SAFETY: it is not; this is what a wrong implementation by hand looks like.
unsafe impl Trait for Page {
    const NAME: &'static str = "Page";
    const TYPE: &'static Type = u8::TYPE;
    const ANY_BITS: bool = true;
    fn tail_len(_: *const Self) -> usize {
        0
    }
    fn pointer(at: *mut u8, _: usize) -> *mut Self {
        at.cast()
    }
    unsafe fn validate(_: *const Self) -> Result<(), Invalid> {
        Ok(())
    }
    unsafe fn place(&self, _: *mut Self) {}
    unsafe fn place_blank(_: *mut Self) {}
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    page: Page,
}

fn main() {}
